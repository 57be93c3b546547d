import { plural } from '../shell/format.ts';
import type { SettleReport } from './settle.ts';

/** What a person reads. */
export function describe({ settled, seconds, stopped_by, not_settled }: SettleReport): string {
  // Only a user that may read the tables could tell whether a locked account is due.
  if (settled === 0 && !stopped_by && not_settled.length === 0)
    return 'nothing was due, except perhaps accounts that others are using';
  const done = `settled ${accounts(settled)} in ${seconds.toFixed(1)} s`;
  if (stopped_by === null) return done;
  if (stopped_by === 'max_accounts') return `${done}, as many as asked for: more may be due`;
  return `interrupted: ${done}; the next run does the rest`;
}

export const accounts = (count: number) => plural(BigInt(count), 'account');
