import { compare, type Group } from './question.ts';

const refund = (account: string) =>
  `select r.balance
   from credits.deduct_credits('${account}', 1, 'to refund ' || $1) as d,
     credits.refund_credits('${account}', d.transaction_id, $1) as r`;
const limit = (account: string) =>
  `select credits.set_limit('${account}', $1, 1000000000, p_window => 'day')`;
const unlimit = (account: string) =>
  `select count(credits.remove_limit('${account}', limit_id))
   from credits.limits where account_id = '${account}'`;
const invoice = (account: string) =>
  `select * from credits.invoice where account_id = '${account}'
     and period = (select period_start from credits.remaining where account_id = '${account}')`;
const page = (account: string) =>
  `select * from credits.transactions where account_id = '${account}'
   order by transaction_id desc limit 50`;

/** Calls on an account with a million entries, beside one with a thousand. */
export const history: Group = {
  id: 'history',
  async measure(ground) {
    const { client, load, size, say } = ground;
    const [many, few] = [size(1_000_000), size(100_000) / 100];
    say(`loading ${many} entries of one account`);
    await load('load.sql');
    await client.query('call bench.load_grants(1, 1)');
    await client.query(`call bench.copy_account('acct-1', 'short-', 1)`);
    await client.query('call bench.load_entries(1, $1)', [many]);
    await client.query('call bench.spread_over_months($1, $2)', ['acct-1', 100]);
    await client.query(
      `select count(*) from credits.deduct_credits_batch((
         select jsonb_agg(jsonb_build_object('account_id', 'short-1', 'amount', 1,
           'idempotency_key', 'request ' || n)) from generate_series(1, $1::int) as n))`,
      [few],
    );
    await client.query('vacuum analyze credits_private.entries');

    const accounts: [string, string] = ['acct-1', 'short-1'];
    const words = `with ${many.toLocaleString('en')} entries`;
    const ask = (name: string, call: (account: string) => string) =>
      compare(ground, [`${name}, ${words}`, few.toLocaleString('en')], accounts, call, 2);
    const questions = [
      await ask('deduction and its refund', refund),
      await ask('invoice of a period', invoice),
      await ask('transactions, a page', page),
      await ask('set_limit', limit),
    ];
    for (const account of accounts) await client.query(unlimit(account));
    say('forgetting');
    const begun = performance.now();
    await client.query(`select from credits.forget_account('acct-1')`);
    const ms = [performance.now() - begun];
    return [...questions, { what: `forget_account, ${words}`, ms, goal: 20_000 }];
  },
};
