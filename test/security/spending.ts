import type pg from 'pg';
import { type Database, raised } from '../support/database.ts';
import { tablesOf } from '../support/ledger.ts';

// A fixed sequence of calls of all that a spender may call, done and refused, and what it leaves.
const calls = (account: string): [name: string, ...args: unknown[]][] => [
  ['available_for', account, 'search'],
  ['deduct_credits', account, 35, 'k1', 'key', 'search', 'run', { at: '2024-01-02', e: '\\x41' }],
  ['deduct_credits', account, 35, 'k1', 'key', 'search', 'run'],
  ['deduct_credits', account, 36, 'k1', 'key', 'search', 'run'],
  ['deduct_credits', account, 10, 'k2', 'key'],
  ['deduct_credits', account, 99, 'k3', 'key'],
  ['deduct_credits', account, 999, 'k4'],
  ['hold_credits', account, 40, 'k5', '2 days 03:04:05.678901', 'other key', null, 'run'],
  ['hold_credits', account, 40, 'k5', '2 days 03:04:05.678901', 'other key', null, 'run'],
  ['capture_hold', account, 1, 15, 'k6', false],
  ['extend_hold', account, 1, '3 days'],
  ['capture_hold', account, 1, 30, 'k7'],
  ['hold_credits', account, 5, 'k8', '1 hour'],
  ['release_hold', account, 2, 'k9'],
  ['capture_hold', account, 2, 1, 'k10'],
  ['deduct_credits_batch', JSON.stringify(batch(account))],
  ['deduct_credits', account, 0, 'k11'],
  ['deduct_credits', account, -1, 'k13'],
  ['deduct_credits', 'nobody', 1, 'k12'],
];
const batch = (account: string) => [
  { account_id: account, amount: 2.0, idempotency_key: 'b1', metadata: { n: 1.5 } },
  { account_id: account, amount: 9999, idempotency_key: 'b2' },
  { account_id: account, amount: 1.5, idempotency_key: 'b3' },
  { account_id: account, amount: 1, idempotency_key: 'b4', oops: true },
];

/** What becomes of the calls in that session, but for moments and the account's name. */
export async function spend(client: pg.Client, account: string): Promise<string[]> {
  const outcomes: string[] = [];
  for (const [name, ...args] of calls(account)) {
    const list = args.map((_, i) => `$${i + 1}`).join(', ');
    const call = client.query(`select * from credits.${name}(${list})`, args);
    const outcome = await call.then(
      ({ rows }) => rows,
      () => raised(call),
    );
    const text = JSON.stringify(outcome, (key, value) => (key.endsWith('_at') ? '' : value));
    outcomes.push(`${name}: ${text.replaceAll(account, 'ACCOUNT')}`);
  }
  return outcomes;
}

/** Every row of the account, but for moments: fingerprints, durations and metadata included. */
export async function rowsOf(db: Database, account: string): Promise<string[]> {
  const rows: string[] = [];
  for (const name of await tablesOf(db, true)) {
    const found = await db.query(
      `select to_jsonb(t) as row from ${name} as t where account_id = $1 order by t::text`,
      [account],
    );
    const times = (key: string, value: unknown) =>
      /(_at|^answer|^account_id)$/.test(key) ? undefined : value;
    rows.push(...found.map(({ row }) => `${name}: ${JSON.stringify(row, times)}`).sort());
  }
  const holds = await db.query(
    `select hold_id, expires_at - created_at > '2 days 23:59' as "extended"
     from credits_private.holds where account_id = $1 order by 1`,
    [account],
  );
  return [...rows, JSON.stringify(holds)];
}

/** An account with something of all that a spender meets: two grants, an overdraft, a soft limit. */
export async function furnish(db: Database, account: string): Promise<void> {
  const statements = [
    `credits.open_account($1, p_overdraft_limit => 20, p_time_zone => 'Europe/Berlin')`,
    `credits.grant_credits($1, 100, 'grant', p_expires_at => '2999-01-01Z')`,
    `credits.grant_credits($1, 30, 'scoped', p_operations => '{search}')`,
    `credits.set_limit($1, 'soft', 40, 'api_key', 'key', p_overage => 30)`,
  ];
  for (const statement of statements) await db.query(`select ${statement}`, [account]);
}
