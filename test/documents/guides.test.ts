import pg from 'pg';
import { expect } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { type Stage, testDocument } from '../support/document.ts';

/** A page's statements are one story, which a database of its own is told from the start. */
function story(): Stage {
  const db = useDatabase();
  return { sql: (statement) => db.query(statement), env: () => ({ DATABASE_URL: db.url }) };
}

testDocument('docs/accounts.md', {}, story());
testDocument('docs/grants.md', {}, story());
testDocument('docs/deductions-and-refunds.md', {}, story());
testDocument('docs/holds.md', {}, story());
testDocument('docs/limits-and-overdraft.md', {}, story());
testDocument('docs/batches.md', {}, story());
testDocument('docs/invoices-and-usage.md', {}, story());

const called = useDatabase();
testDocument('docs/calling.md', { 'From Node, Python and Go': { js: runExample } });

const deployed = useDatabase({ empty: true });
testDocument('docs/deploying.md', {
  Deploy: {
    env: () => ({ DATABASE_URL: deployed.url, PREFIX: deployed.rolePrefix }),
    instead: Object.fromEntries(
      ['--dry-run', '--dry-run --sql', '--wait 30'].map((options) => [
        `npx pg-credits deploy ${options}`,
        `npx pg-credits deploy ${options} --role-prefix "$PREFIX"`,
      ]),
    ),
  },
});

/** What the example sets for all of its process, this client alone gets. */
async function runExample(text: string) {
  const parsers = new Map<number, (value: string) => unknown>();
  const types = {
    builtins: pg.types.builtins,
    setTypeParser: (oid: number, parse: (value: string) => unknown) => parsers.set(oid, parse),
  };
  const getTypeParser = (oid: number) => parsers.get(oid) ?? pg.types.getTypeParser(oid);
  const client = new pg.Client({ connectionString: called.url, types: { getTypeParser } });
  await client.connect();
  try {
    await client.query(`select credits.grant_credits('js', 1000, 'grant')`);
    const run = `return (async () => { ${text}; return { spent, answers }; })()`;
    const example = new Function('pg', 'client', 'accountId', 'requestId', run);
    expect(await example({ types }, client, 'js', 'request')).toEqual({
      spent: { transaction_id: 2, balance: 975 },
      answers: [{ deduction: 1, balance: 970, error_code: null }],
    });
    const invoice = `select period from credits.invoice where account_id = 'js'`;
    expect((await client.query(invoice)).rows[0].period).toMatch(/^\d{4}-\d{2}-01$/);
  } finally {
    await client.end();
  }
}
