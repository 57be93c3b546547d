export type Ask = (
  text: string,
  values: unknown[],
  name?: string,
) => Promise<Record<string, string>>;

export interface Act {
  /** Functions that it calls: the act is left out if a version does not have them. */
  needs: string[];
  /** Returns the keys of the transactions that it made. */
  run(ask: Ask, account: string, key: string): Promise<string[]>;
}

/** The account that all callers spend from. */
export const everybody = 'callers shared';
const transactionOf = `select transaction_id from credits.deduct_credits($1, 2, $2, 'key a', '/search')`;

/** What an app does with credits, one at a time. */
export const acts: Act[] = [
  {
    needs: ['deduct_credits'],
    async run(ask, account, key) {
      await ask(transactionOf, [account, key], 'a prepared statement');
      return [key];
    },
  },
  {
    needs: ['deduct_credits'],
    async run(ask, _, key) {
      await ask(transactionOf, [everybody, key]);
      return [key];
    },
  },
  {
    needs: ['deduct_credits', 'refund_credits'],
    async run(ask, account, key) {
      const { transaction_id } = await ask(transactionOf, [account, key]);
      const refund =
        'select refunded.balance from credits.refund_credits($1, $2, $3, 1) as refunded';
      await ask(refund, [account, transaction_id, `${key} refund`]);
      return [key, `${key} refund`];
    },
  },
  {
    needs: ['grant_credits'],
    async run(ask, account, key) {
      await ask('select balance from credits.grant_credits($1, 3, $2)', [account, key]);
      return [key];
    },
  },
  {
    needs: ['deduct_credits'],
    async run(ask, account, key) {
      await ask('begin', []);
      await ask('select available from credits.remaining where account_id = $1', [account]);
      const { transaction_id } = await ask(transactionOf, [account, key]);
      const order = 'insert into app.orders values ($1, $2) on conflict do nothing';
      await ask(order, [key, transaction_id]);
      await ask('commit', []);
      return [key];
    },
  },
  {
    needs: ['hold_credits', 'capture_hold'],
    async run(ask, account, key) {
      const hold = 'select hold_id from credits.hold_credits($1, 5, $2)';
      const { hold_id } = await ask(hold, [account, `${key} hold`]);
      await ask('select balance from credits.capture_hold($1, $2, 1, $3)', [account, hold_id, key]);
      return [key];
    },
  },
];
