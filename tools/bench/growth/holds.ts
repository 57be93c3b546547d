import { compare, type Group, time } from './question.ts';

const deduct = (account: string) =>
  `select balance from credits.deduct_credits('${account}', 1, $1, 'key_live_1', '/execute')`;
const hold = (account: string) =>
  `select hold_id from credits.hold_credits('${account}', 1, $1, p_api_key_id => 'key_live_1')`;

/** Calls beside thousands of open holds, which have nothing to do with them. */
export const holds: Group = {
  id: 'holds',
  async measure(ground) {
    const { client, size, say } = ground;
    const open = size(5000);
    const [runs, few] = [size(20_000), size(300)];
    for (const account of ['free', 'held', 'limited', 'held and limited']) {
      say(`making ${account}`);
      await client.query(`select from credits.grant_credits($1, 1000000000, 'grant')`, [account]);
      if (account.includes('limited'))
        await client.query(
          `select from unnest(array['account', 'api_key', 'operation', 'run', 'account'])
             with ordinality as s (scope, n), credits.set_limit($1, 'limit ' || s.n, 1000000000,
             p_scope => s.scope)`,
          [account],
        );
      if (account.includes('held'))
        await client.query('call bench.hold($1, $2, clock_timestamp())', [account, open]);
    }
    say('making runs');
    await client.query(`select from credits.grant_credits('runs', 1000000000, 'grant')`);
    await client.query(`select from credits.set_limit('runs', 'run', 1000, p_scope => 'run')`);
    for (let from = 0; from < runs; from += 10_000)
      await client.query(
        `select count(*) from credits.deduct_credits_batch((
           select jsonb_agg(jsonb_build_object('account_id', 'runs', 'amount', 1,
             'idempotency_key', 'run ' || n, 'run_id', 'run ' || n))
           from generate_series($1::int, $2::int) as n))`,
        [from + 1, Math.min(runs, from + 10_000)],
      );
    await client.query(`call bench.hold('runs', $1, clock_timestamp())`, [few]);

    const words = `${open.toLocaleString('en')} open holds`;
    const view = `limits, with ${runs.toLocaleString('en')} runs and ${few} holds`;
    return [
      await compare(ground, [`deduction beside ${words}`, 'none'], ['held', 'free'], deduct),
      await compare(
        ground,
        [`deduction with five limits beside ${words}`, 'no hold'],
        ['held and limited', 'limited'],
        deduct,
      ),
      await compare(ground, [`hold beside ${words}`, 'none'], ['held', 'free'], hold),
      {
        what: view,
        ms: await time(
          ground,
          view,
          `select count(*), sum(reserved) from credits.limits where account_id = 'runs'`,
        ),
        goal: 500,
      },
    ];
  },
};
