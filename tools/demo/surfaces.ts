import type pg from 'pg';
import { Failure } from '../../scripts/shell/explain.ts';
import { account, allowance, only } from './replay.ts';

/** A row of old_way.surfaces. */
export interface Then {
  debits: number;
  balance_delta: number;
  invoice: number;
  key_usage: number;
  remaining_quota: number;
}

export interface Now {
  balance: number;
  available: number;
  invoice: number;
  invoice_calls: number;
  lines: number;
  line_calls: number;
  usage: number;
  usage_calls: number;
}

/** Each figure from the view that an app would show it from. */
export async function readNow(client: pg.Client): Promise<Now> {
  // Summed over periods, as a month may end while this runs.
  const { rows } = await client.query<Now>(
    `select r.*, i.*, l.*, u.*
     from (select balance, available from credits.remaining where account_id = $1) as r,
          (select sum(net_used)::bigint as invoice, sum(calls)::bigint as invoice_calls
           from credits.invoice where account_id = $1) as i,
          (select sum(net_used)::bigint as lines, sum(calls)::bigint as line_calls
           from credits.invoice_lines where account_id = $1) as l,
          (select sum(net_used)::bigint as usage, sum(calls)::bigint as usage_calls
           from credits.usage where account_id = $1) as u`,
    [account],
  );
  return only(rows);
}

/** How many broken promises credits.discrepancies lists: any would end the demo. */
export async function countDiscrepancies(client: pg.Client): Promise<number> {
  const { rows } = await client.query('select invariant from credits.discrepancies');
  if (rows.length > 0)
    throw new Failure(`credits.discrepancies is not empty: ${rows.map((row) => row.invariant)}`);
  return rows.length;
}

/** The balance was right then, and all of ours are now: what differs is the old surfaces alone. */
export function checkReplay(then: Then, now: Now): void {
  if (then.debits !== 72 || then.balance_delta !== 861)
    throw new Failure(`the old books have ${then.debits} debits of ${then.balance_delta} in all`);
  checkAgreement(now, 861);
}

export function checkAgreement(now: Now, used: number): void {
  const credits = [allowance - now.balance, allowance - now.available];
  credits.push(now.invoice, now.lines, now.usage);
  const calls = [now.invoice_calls, now.line_calls, now.usage_calls];
  if (credits.some((figure) => figure !== used) || calls.some((figure) => figure !== 72))
    throw new Failure(`the surfaces differ: credits ${credits}, calls ${calls}`);
}
