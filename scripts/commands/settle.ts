import { withClient } from '../postgres/connect.ts';
import { settle } from '../settle/settle.ts';
import { accounts, describe } from '../settle/text.ts';
import type { Given } from '../shell/command.ts';
import { printable } from '../shell/format.ts';
import { atLeastOne, sharedHelp } from '../shell/options.ts';
import { exitStatus, heedSignals } from '../shell/signals.ts';
import type { Answer, Terminal } from '../shell/terminal.ts';

export const help = `pg-credits settle: book what became due: expiries, ended holds, scheduled grants, period ends

For cron or a timer. It skips accounts that are in use, so you can run it as often, and in as many places at once, as
you like. Figures are right without it; it keeps the books tidy. Needs a member of credits_granter.
Exit status: 0 done, 1 it failed, 2 wrong usage, 3 done except for accounts that could not be settled (it names them, and
a later run tries them again), 130 or 143 interrupted: it stops after the batch that is running.

  --batch N             accounts per transaction (100); each stays locked until all of them are settled
  --max-accounts N      stop after that many accounts
${sharedHelp}`;

export const options = { batch: { type: 'string' }, 'max-accounts': { type: 'string' } } as const;

export async function run({ values }: Given<typeof options>, terminal: Terminal): Promise<Answer> {
  const batch = atLeastOne('batch', values.batch) ?? 100;
  const maxAccounts = atLeastOne('max-accounts', values['max-accounts']) ?? Infinity;
  const report = await withClient(values, terminal.aside, (client) =>
    settle(client, {
      batch,
      maxAccounts,
      interrupted: heedSignals(terminal),
      progress: (settled) => terminal.progress(() => `settled ${accounts(settled)} so far`),
    }),
  );
  const { stopped_by: by, not_settled } = report;
  const done = not_settled.length > 0 ? 3 : 0;
  return {
    report,
    lines: [describe(report)],
    asides: not_settled.map(({ account_id, reason, hint }) =>
      printable(`not settled: ${account_id}: ${reason}. ${hint}`),
    ),
    code: by === 'SIGINT' || by === 'SIGTERM' ? exitStatus[by] : done,
  };
}
