import { type Group, type Question, time } from './question.ts';

/** What can come in the way of a batch, and how it changes the deductions (n is their number). */
const kinds: [string, { before?: string; item?: string }][] = [
  ['plain', {}],
  ['one limit', { before: `credits.set_limit($1, 'limit', 1000000000)` }],
  [
    'one scoped grant',
    { before: `credits.grant_credits($1, 5000, 'scoped', p_operations => '{/execute}')` },
  ],
  ['one malformed', { item: `'amount', case when n = 77 then -1 else 1 end` }],
  ['one known key', { before: `credits.deduct_credits($1, 1, 'request 500')` }],
  ['keys that come twice', { item: `'idempotency_key', 'request ' || n / 2` }],
  ['amounts of 0', { item: `'amount', 0` }],
  [
    'a limit, a scope, a known and a malformed one',
    {
      before: `credits.set_limit($1, 'limit', 1000000000),
        credits.grant_credits($1, 5000, 'scoped', p_operations => '{/execute}'),
        credits.deduct_credits($1, 1, 'request 500')`,
      item: `'amount', case when n = 77 then -1 else 1 end`,
    },
  ],
];

/** Batches of ten thousand on one account: each kind once per round, on an account of its own. */
export const batches: Group = {
  id: 'batches',
  async measure(ground) {
    const { client, size, rounds, say } = ground;
    const items = size(10_000);
    const questions: Question[] = [];
    for (const [name, { before, item }] of kinds) {
      const what = `batch of ${items.toLocaleString('en')}: ${name}`;
      const account = (round: number) => `${name} ${round}`;
      const text = `select count(*) from credits.deduct_credits_batch((
        select jsonb_agg(jsonb_build_object('account_id', $1::text, 'amount', 1,
          'idempotency_key', 'request ' || n, 'api_key_id', 'key_live_' || n % 3,
          'operation', '/execute') || jsonb_build_object(${item ?? ''}))
        from generate_series(1, ${items}) as n))`;
      const ms: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        say(what);
        const to = [account(round)];
        await client.query(`select from credits.grant_credits($1, 1000000000, 'grant')`, to);
        if (before) await client.query(`select from ${before}`, to);
        const begun = performance.now();
        await client.query(text, to);
        ms.push(performance.now() - begun);
      }
      questions.push({ what, ms, goal: 2000 });
    }
    const again = `batch of ${items.toLocaleString('en')}: sent again`;
    const text = `select count(*) from credits.deduct_credits_batch((
      select jsonb_agg(jsonb_build_object('account_id', 'plain 0', 'amount', 1,
        'idempotency_key', 'request ' || n, 'api_key_id', 'key_live_' || n % 3,
        'operation', '/execute')) from generate_series(1, ${items}) as n))`;
    questions.push({ what: again, ms: await time(ground, again, text), goal: 2000 });
    return questions;
  },
};
