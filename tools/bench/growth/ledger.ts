import { examine } from '../../../scripts/verify/examine.ts';
import { type Group, type Question, time } from './question.ts';

/** What reads one account, or all of them, in a ledger of millions. */
export const ledger: Group = {
  id: 'ledger',
  async measure(ground) {
    const { client, load, size, say } = ground;
    const [entries, accounts, calm] = [size(2_000_000), size(1000), size(100_000)];
    say(`loading ${entries} entries`);
    await load('load.sql');
    await client.query('call bench.load_grants($1, 1)', [accounts]);
    await client.query('call bench.load_entries($1, $2)', [accounts, entries]);
    await client.query(`select from credits.grant_credits('small', 100, 'grant')`);
    await client.query(
      `select from generate_series(1, 10) as n, credits.deduct_credits('small', 1, 'request ' || n)`,
    );
    await client.query(
      `vacuum analyze credits_private.accounts, credits_private.entries, credits_private.grants,
         credits_private.usage_counters, credits_private.idempotency_keys`,
    );
    const words = `${entries.toLocaleString('en')} entries`;
    const one = `discrepancies of an account of 11 entries, among ${words}`;
    const questions: Question[] = [
      {
        what: one,
        ms: await time(
          ground,
          one,
          `select count(*) from credits.discrepancies where account_id = 'small'`,
        ),
        goal: 100,
      },
    ];
    say(`verifying ${words}`);
    const begun = performance.now();
    await examine(client);
    const ms = [performance.now() - begun];
    questions.push({ what: `verify of ${words}`, ms, goal: 15_000 });
    say(`copying an account ${calm} times`);
    await client.query(`call bench.copy_account('small', 'calm-', $1)`, [calm]);
    await client.query('vacuum analyze credits_private.accounts, credits_private.grants');
    const remaining = `remaining of ${calm.toLocaleString('en')} accounts`;
    const text = `select sum(available) from credits.remaining where account_id like 'calm-%'`;
    return [...questions, { what: remaining, ms: await time(ground, remaining, text), goal: 500 }];
  },
};
