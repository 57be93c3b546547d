import { expect, test } from 'vitest';
import { ensureAdoption } from '../../../scripts/adoption/app/state.ts';
import {
  createDatabase,
  type Database,
  useDatabase,
  waitUntilBlocked,
} from '../../support/database.ts';

const db = useDatabase();

async function begin(of: Database = db) {
  const client = await of.connect();
  await client.query('begin');
  return client;
}

test("two that create the adoption's schema at once: one does, as the owner of the ledger, readable by nobody else", async () => {
  const [first, second] = [await begin(), await begin()];
  await ensureAdoption(first);
  const { pid } = (await second.query('select pg_backend_pid() as pid')).rows[0];
  const waiting = ensureAdoption(second);
  await waitUntilBlocked(db, pid);
  await first.query('commit');
  await waiting;
  await second.query('commit');
  const rows = await db.query(
    `select c.relname as name, pg_get_userbyid(c.relowner) as owner, c.relacl::text as acl
     from pg_class as c where c.relnamespace = 'credits_adoption'::regnamespace and c.relkind = 'r'
     order by 1`,
  );
  const owner = `${db.rolePrefix}credits_owner`;
  expect(rows.map(({ name, owner }) => [name, owner])).toEqual([
    ['accounts', owner],
    ['begun', owner],
    ['failures', owner],
    ['mirrored', owner],
  ]);
  // Null is what a table has at first, and what only its owner may do.
  for (const { acl } of rows) expect(acl ?? '').not.toMatch(/(^|[{,])=/);
  const { current } = (await first.query('select current_user = session_user as current')).rows[0];
  expect(current).toBe(true);
});

test('a schema credits_adoption of somebody else is left alone, and one line says so', async () => {
  const other = await createDatabase();
  try {
    await other.query('create schema credits_adoption');
    const client = await begin(other);
    await expect(ensureAdoption(client)).rejects.toThrow(
      /^schema credits_adoption exists and belongs to \w+, not to \w+credits_owner: rename or drop it$/,
    );
  } finally {
    await other.drop();
  }
});

test('adoption without pg-credits in the database ends with one line', async () => {
  const empty = await createDatabase({ empty: true });
  try {
    await expect(ensureAdoption(await begin(empty))).rejects.toThrow(
      /^no pg-credits in this database: run pg-credits deploy first$/,
    );
  } finally {
    await empty.drop();
  }
});
