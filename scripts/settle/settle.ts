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
  /** What stopped it while more may be due; null when nothing was left. */
  stopped_by: Signal | 'max_accounts' | null;
  /** Accounts that could not be settled, and why. The server tries them again after a pause. */
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
  /** Called after each batch: the signal that has arrived meanwhile, if any. */
  interrupted: () => Signal | undefined;
  progress: (settled: number) => void;
}

/** Settles batch by batch, each in its own transaction, until nothing is due that is not locked by others. */
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

/** Reads a warning of settle_due. The account is in the detail, since its id may be any text. */
function notSettled({ message = '', detail, hint }: Notice): NotSettled | undefined {
  try {
    const { account_id: account } = JSON.parse(detail ?? '');
    const start = `account ${account} was not settled: `;
    if (!message.startsWith(start)) return undefined;
    return { account_id: account, reason: message.slice(start.length), hint: hint ?? '' };
  } catch {
    return undefined; // some other warning, say of an app's trigger
  }
}

const settleBatch = (client: pg.ClientBase, most: number): Promise<number> =>
  retryBriefly(client, async () => {
    // One round trip, so that no account stays locked while another message travels. Read committed, whatever the
    // user's default: there, an account that somebody has just changed is no conflict.
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
