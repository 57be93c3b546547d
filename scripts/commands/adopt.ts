import type { Choice } from '../adoption/adopt/import.ts';
import type { Plan } from '../adoption/adopt/plan.ts';
import { adopt, plan } from '../adoption/adopt/run.ts';
import { describePlan, describeReport, trustWanted, warnings } from '../adoption/adopt/text.ts';
import { hasLastBalance } from '../adoption/app/queries.ts';
import type { Mapping } from '../adoption/mapping/mapping.ts';
import { withClient } from '../postgres/connect.ts';
import type { Given } from '../shell/command.ts';
import { Failure, UsageError } from '../shell/explain.ts';
import { atLeastOne, sharedHelp } from '../shell/options.ts';
import { exitStatus, heedSignals } from '../shell/signals.ts';
import type { Answer, Terminal } from '../shell/terminal.ts';
import { mappingFrom, mappingHelp, mappingOptions } from './shared.ts';

export const help = `pg-credits adopt: take an app's own credits over into the ledger

Reads the tables that the mapping names, never writes to them. An account is adopted once, whole: stopped or killed, it
goes on where it was; run again, it adopts what is new. A long history is booked in pieces, and adopted with the last.
Where balance and transactions differ, the difference is booked as an entry of its own. Needs a user that may read the
app's tables and act as the owner of the ledger.
Exit status: 0 done, 1 it failed, 2 wrong usage, 130 or 143 interrupted: it ends with the batch or piece that is running.

${mappingHelp}
  --plan                say what would be booked; nothing is written
  --book opening        each account's balance (the default)
  --book history        every transaction, at its old moment and in its old billing period
  --trust transactions  each account gets what its transactions add up to
  --trust balance       each account gets what its balance shows; one of the two is needed where they differ
  --batch N             accounts per transaction (100); each stays locked until all of them are booked
${sharedHelp}`;

export const options = {
  ...mappingOptions,
  plan: { type: 'boolean' },
  book: { type: 'string' },
  trust: { type: 'string' },
  batch: { type: 'string' },
} as const;

export async function run({ values }: Given<typeof options>, terminal: Terminal): Promise<Answer> {
  const book = oneOf('book', values.book, ['opening', 'history'] as const) ?? 'opening';
  const trust = oneOf('trust', values.trust, ['transactions', 'balance'] as const);
  const batch = atLeastOne('batch', values.batch) ?? 100;
  const mapping = mappingFrom(values);
  if (trust === 'balance' && !mapping.balances && !hasLastBalance(mapping))
    throw new UsageError('--trust balance needs balances, or balance_after, in the mapping');
  if (values.plan) {
    const found = await withClient(values, terminal.aside, (client) => plan(client, mapping));
    return { report: found, lines: describePlan(found, mapping, book, trust) };
  }
  const choose = (found: Plan) => {
    const choice = decide(found, mapping, book, trust);
    for (const warning of warnings(found, mapping)) terminal.warn(warning);
    return choice;
  };
  const { progress } = terminal;
  const interrupted = heedSignals(terminal);
  const report = await withClient(values, terminal.aside, (client) =>
    adopt(client, mapping, { batch, choose, interrupted, progress }),
  );
  const { stopped_by: by } = report;
  return { report, lines: describeReport(report), code: by === null ? 0 : exitStatus[by] };
}

function oneOf<T extends string>(name: string, value: string | undefined, words: readonly T[]) {
  const found = words.find((word) => word === value);
  if (value !== undefined && found === undefined)
    throw new UsageError(`--${name} must be ${words.join(' or ')}, not ${value}`);
  return found;
}

/** Where figures differ, the user must have said which of them to trust. */
function decide(found: Plan, mapping: Mapping, book: Choice['book'], trust?: Choice['trust']) {
  const { higher, lower } = found.differences;
  const differ = mapping.balances && higher.accounts + lower.accounts > 0n;
  if (differ && !trust) throw new Failure(trustWanted(found));
  return { book, trust: trust ?? 'transactions' };
}
