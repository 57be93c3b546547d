import { atLeastOne, parseCommand, sharedHelp, withClient } from '../postgres/connect.ts';
import { type SettleReport, settle } from '../settle/settle.ts';
import { plural, printable, toJson } from '../shell/format.ts';
import { exitStatus, heedSignals, progressLine } from '../shell/signals.ts';

export function describe({ settled, seconds, stopped_by, not_settled }: SettleReport): string {
  // Whether an account that is locked is due, only who may read the tables could tell.
  if (settled === 0 && !stopped_by && not_settled.length === 0)
    return 'nothing was due, except perhaps accounts that others are using';
  const done = `settled ${accounts(settled)} in ${seconds.toFixed(1)} s`;
  if (stopped_by === null) return done;
  if (stopped_by === 'max_accounts') return `${done}, as many as asked for: more may be due`;
  return `interrupted: ${done}; the next run does the rest`;
}

const accounts = (count: number) => plural(BigInt(count), 'account');

export const help = `pg-credits settle: book what became due: expiries, ended holds, scheduled grants, period ends

For cron or a timer. It leaves accounts that are in use alone, so run it as often, and in as many places at once, as you
like. Figures are right without it; it keeps the books tidy. Needs a member of credits_granter.
Exit status: 0 done, 1 it failed, 2 wrong usage, 3 done except for accounts that could not be settled (it names them, and
a later run tries them again), 130 or 143 interrupted: it ends with the batch that is running.

  --batch N             accounts per transaction (100); each stays locked until all of them are settled
  --max-accounts N      stop after so many
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseCommand(args, {
    batch: { type: 'string' },
    'max-accounts': { type: 'string' },
  });
  const { json = false } = values;
  const batch = atLeastOne('batch', values.batch) ?? 100;
  const maxAccounts = atLeastOne('max-accounts', values['max-accounts']) ?? Infinity;
  const { progress, wipe } = progressLine(json);
  const report = await withClient(values, (client) =>
    settle(client, {
      batch,
      maxAccounts,
      interrupted: heedSignals(json),
      progress: (settled) => progress(() => `settled ${accounts(settled)} so far`),
    }),
  ).finally(wipe);
  console.log(json ? toJson(report) : describe(report));
  for (const { account_id, reason, hint } of report.not_settled)
    console.error(printable(`not settled: ${account_id}: ${reason}. ${hint}`));
  const { stopped_by: by } = report;
  if (by === 'SIGINT' || by === 'SIGTERM') return exitStatus[by];
  return report.not_settled.length > 0 ? 3 : 0;
}
