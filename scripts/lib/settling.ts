import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { codeOf, explain, Failure } from './explain.ts';
import { plural } from './format.ts';
import { type Live, readOnly } from './live.ts';
import { ident } from './roles.ts';
import type { Signal } from './running.ts';
import { isPassing } from './script.ts';

export interface SettleReport {
  settled: number;
  seconds: number;
  /** What ended it while more may be due; null: nothing was left. */
  stopped_by: Signal | 'max_accounts' | null;
}

export interface SettleOptions {
  batch: number;
  maxAccounts: number;
  /** The signal that has come meanwhile, if any: asked after each batch. */
  interrupted: () => Signal | undefined;
  progress: (settled: number) => void;
}

/** Batch by batch, each a transaction of its own, until nothing is due that nobody else has locked. */
export async function settle(
  client: pg.ClientBase,
  { batch, maxAccounts, interrupted, progress }: SettleOptions,
): Promise<SettleReport> {
  const live = await readOnly(client, async (seen) => seen);
  const started = Date.now();
  let settled = 0;
  const report = (stopped_by: SettleReport['stopped_by']): SettleReport => {
    return { settled, seconds: (Date.now() - started) / 1000, stopped_by };
  };
  try {
    for (;;) {
      const count = await settleBatch(client, Math.min(batch, maxAccounts - settled));
      settled += count;
      const signal = interrupted();
      if (signal) return report(signal);
      if (count === 0) return report(null);
      if (settled >= maxAccounts) return report('max_accounts');
      progress(settled);
    }
  } catch (error) {
    throw failureOf(error, live, settled);
  }
}

async function settleBatch(client: pg.ClientBase, most: number): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      // One round trip, so that no account stays locked for the time of another; and at read committed, whatever
      // the user's default is: there, an account that somebody has just changed is no conflict.
      const results: unknown = await client.query(
        `begin isolation level read committed, read write;
        select credits.settle_due(${most}) as settled;
        commit`,
      );
      return (results as pg.QueryResult[])[1]?.rows[0].settled;
    } catch (error) {
      await client.query('rollback').catch(() => {});
      if (!isPassing(error) || attempt === 5) throw error;
    }
    await sleep(50 * 2 ** attempt * (0.5 + Math.random()));
  }
}

function failureOf(error: unknown, { user, rolePrefix }: Live, settled: number): Failure {
  const code = codeOf(error);
  const grant = `grant ${ident(`${rolePrefix}credits_granter`)} to ${ident(user)};`;
  const what =
    code === '42501'
      ? `${(error as Error).message}: an administrator must run: ${grant}`
      : explain(error);
  const before = `; ${plural(BigInt(settled), 'account')} had been settled: run it again for the rest`;
  return new Failure(settled === 0 ? what : what + before, code, { cause: error });
}
