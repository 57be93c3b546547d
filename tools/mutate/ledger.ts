import type pg from 'pg';
import { Failure } from '../../scripts/shell/explain.ts';
import { randomNumbers } from '../random.ts';
import { callerOf } from './calls.ts';
import { writeHistory } from './history.ts';

const zones = ['UTC', 'Europe/Berlin', 'America/Havana', 'Pacific/Kiritimati'] as const;

/** Makes accounts of every sort, by real calls, and checks that they are sound before anything is changed. */
export async function fillLedger(
  client: pg.Client,
  { accounts, steps, seed }: { accounts: number; steps: number; seed: number },
): Promise<void> {
  const caller = await callerOf(client);
  for (let n = 1; n <= accounts; n += 1) {
    const random = randomNumbers(seed * 1000 + n);
    const account_id = `account ${n}`;
    const opened = new Date(Date.UTC(2024, 0, 15));
    await caller.call('open_account', opened, {
      account_id,
      unit: random.pick('credit', 'usd'),
      scale: random.pick(0, 2),
      time_zone: zones[n % zones.length],
      anchor_day: random.pick(1, 15, 31),
      overdraft_limit: random.pick(0, 100, 400),
    });
    const now = await writeHistory(caller, account_id, random, steps);
    if (n % 7 === 3) await caller.call('close_account', now, { account_id });
    if (n % 7 === 4 || n % 14 === 3) await caller.call('forget_account', now, { account_id });
    if (n % 7 === 4) await caller.call('deduct_credits', now, more(account_id));
    if (n % 3 === 0) await caller.call('settle_account', new Date(), { account_id });
  }
  await failToSettle(client, 'account 1');
  await checkSound(client);
  await client.query('analyze');
}

const more = (account_id: string) => ({
  account_id,
  amount: 1,
  idempotency_key: 'after it was forgotten',
  api_key_id: 'key a',
  run_id: 'run 2',
});

/** An account with a time zone that the server did not know, until somebody gave it another. */
async function failToSettle(client: pg.Client, account: string): Promise<void> {
  const set = 'update credits_private.accounts set time_zone = $2 where account_id = $1';
  const { rows } = await client.query(
    'select time_zone from credits_private.accounts where account_id = $1',
    [account],
  );
  await client.query(set, [account, 'Mars/Olympus']);
  await client.query(
    'select credits_private.settle_due_at(1000, period_ends_at) from credits_private.accounts where account_id = $1',
    [account],
  );
  await client.query(set, [account, rows[0].time_zone]);
}

/** Checks that nothing else than that account is broken, and that no column is the same in all rows. */
async function checkSound(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    'select invariant, account_id, subject from credits.discrepancies',
  );
  const found = rows.filter(({ invariant }) => invariant !== 'every_account_can_be_settled');
  if (found.length > 0)
    throw new Failure(
      `the ledger is unsound before anything was changed: ${JSON.stringify(found[0])}`,
    );
}
