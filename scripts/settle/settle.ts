import type pg from 'pg';
import { type Live, readOnly } from '../postgres/live.ts';
import { retryBriefly } from '../postgres/retry.ts';
import { ident } from '../postgres/roles.ts';
import { codeOf, explain, Failure } from '../shell/explain.ts';
import { plural } from '../shell/format.ts';
import type { Signal } from '../shell/signals.ts';

export interface SettleReport {
  settled: number;
  seconds: number;
  /** What ended it while more may be due; null: nothing was left. */
  stopped_by: Signal | 'max_accounts' | null;
  /** Accounts that could not be settled, and why: the server tries them again after a pause. */
  not_settled: NotSettled[];
}

export interface NotSettled {
  account_id: string;
  reason: string;
  hint: string;
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
  const failed = new Map<string, NotSettled>();
  const heed = (notice: Notice) => {
    const one = notSettled(notice);
    if (one) failed.set(one.account_id, one);
  };
  const report = (stopped_by: SettleReport['stopped_by']): SettleReport => {
    const seconds = (Date.now() - started) / 1000;
    return { settled, seconds, stopped_by, not_settled: [...failed.values()] };
  };
  client.on('notice', heed);
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
  } finally {
    client.off('notice', heed);
  }
}

interface Notice {
  message?: string | undefined;
  detail?: string | undefined;
  hint?: string | undefined;
}

/** What settle_due warns of. The account is in the detail, as its id may be any text. */
function notSettled({ message = '', detail, hint }: Notice): NotSettled | undefined {
  try {
    const { account_id: account } = JSON.parse(detail ?? '');
    const start = `account ${account} was not settled: `;
    if (!message.startsWith(start)) return undefined;
    return { account_id: account, reason: message.slice(start.length), hint: hint ?? '' };
  } catch {
    return undefined; // another warning, of a trigger of the app's
  }
}

const settleBatch = (client: pg.ClientBase, most: number): Promise<number> =>
  retryBriefly(client, async () => {
    // One round trip, so that no account stays locked for the time of another; and at read committed, whatever
    // the user's default is: there, an account that somebody has just changed is no conflict.
    const results: unknown = await client.query(
      `begin isolation level read committed, read write;
      set local client_min_messages = warning;
      select credits.settle_due(${most}) as settled;
      commit`,
    );
    return (results as pg.QueryResult[])[2]?.rows[0].settled;
  });

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
