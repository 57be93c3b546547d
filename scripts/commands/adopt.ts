import type { Choice } from '../adoption/adopt/import.ts';
import type { Plan } from '../adoption/adopt/plan.ts';
import { adopt, plan } from '../adoption/adopt/run.ts';
import type { AdoptReport } from '../adoption/adopt/text.ts';
import { describePlan, describeReport, trustWanted, warnings } from '../adoption/adopt/text.ts';
import { hasLastBalance } from '../adoption/app/queries.ts';
import { type Mapping, readMapping } from '../adoption/mapping/mapping.ts';
import {
  atLeastOne,
  Failure,
  parseCommand,
  sharedHelp,
  UsageError,
  withClient,
} from '../postgres/connect.ts';
import { toJson } from '../shell/format.ts';
import { exitStatus, heedSignals, progressLine } from '../shell/signals.ts';

export const help = `pg-credits adopt: take an app's own credits over into the ledger

Reads the tables that the mapping names, never writes to them. An account is adopted once, whole: stopped or killed, it
goes on where it was; run again, it adopts what is new. A long history is booked in pieces, and adopted with the last.
Where balance and transactions differ, the difference is booked as an entry of its own. Needs a user that may read the
app's tables and act as the owner of the ledger.
Exit status: 0 done, 1 it failed, 2 wrong usage, 130 or 143 interrupted: it ends with the batch or piece that is running.

  --mapping FILE        where the app keeps its credits (pg-credits.yaml)
  --plan                say what would be booked; nothing is written
  --book opening        each account's balance (the default)
  --book history        every transaction, at its old moment and in its old billing period
  --trust transactions  each account gets what its transactions add up to
  --trust balance       each account gets what its balance shows; one of the two is needed where they differ
  --batch N             accounts per transaction (100); each stays locked until all of them are booked
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseCommand(args, {
    mapping: { type: 'string' },
    plan: { type: 'boolean' },
    book: { type: 'string' },
    trust: { type: 'string' },
    batch: { type: 'string' },
  });
  const book = oneOf('book', values.book, ['opening', 'history'] as const) ?? 'opening';
  const trust = oneOf('trust', values.trust, ['transactions', 'balance'] as const);
  const batch = atLeastOne('batch', values.batch) ?? 100;
  const mapping = readMapping(values.mapping ?? 'pg-credits.yaml');
  if (trust === 'balance' && !mapping.balances && !hasLastBalance(mapping))
    throw new UsageError('--trust balance needs balances, or balance_after, in the mapping');
  const { json = false } = values;
  if (values.plan) {
    const found = await withClient(values, (client) => plan(client, mapping));
    console.log(json ? toJson(found) : describePlan(found, mapping, book, trust).join('\n'));
    return 0;
  }
  const choose = (found: Plan) => {
    const choice = decide(found, mapping, book, trust);
    for (const warning of warnings(found, mapping))
      console.error(json ? JSON.stringify({ warning }) : `warning: ${warning}`);
    return choice;
  };
  return report(json, await adoptAll(values, mapping, { batch, choose, json }));
}

function oneOf<T extends string>(name: string, value: string | undefined, words: readonly T[]) {
  const found = words.find((word) => word === value);
  if (value !== undefined && found === undefined)
    throw new UsageError(`--${name} must be ${words.join(' or ')}, not ${value}`);
  return found;
}

/** What is booked: where figures differ, somebody must have said which is believed. */
function decide(found: Plan, mapping: Mapping, book: Choice['book'], trust?: Choice['trust']) {
  const { higher, lower } = found.differences;
  const differ = mapping.balances && higher.accounts + lower.accounts > 0n;
  if (differ && !trust) throw new Failure(trustWanted(found));
  return { book, trust: trust ?? 'transactions' };
}

async function adoptAll(
  values: Parameters<typeof withClient>[0],
  mapping: Mapping,
  { json, ...options }: { json: boolean; batch: number; choose: (found: Plan) => Choice },
): Promise<AdoptReport> {
  const { progress, wipe } = progressLine(json);
  const interrupted = heedSignals(json);
  return withClient(values, (client) =>
    adopt(client, mapping, { ...options, interrupted, progress }),
  ).finally(wipe);
}

function report(json: boolean, done: AdoptReport): number {
  console.log(json ? toJson(done) : describeReport(done).join('\n'));
  return done.stopped_by === null ? 0 : exitStatus[done.stopped_by];
}
