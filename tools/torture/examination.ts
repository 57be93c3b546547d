import type pg from 'pg';
import type { Finding } from '../../scripts/verify/checks.ts';
import { examine as verify } from '../../scripts/verify/examine.ts';
import type { Answer } from './calls.ts';
import { bookedOnce, keysAsAcknowledged, remainingAddsUp } from './figures.ts';
import {
  type Acknowledged,
  acknowledgedParts,
  type Entry,
  isFree,
  type Journal,
} from './journal.ts';
import { connectTo, Session } from './session.ts';

/**
 * Compares the ledger with its callers' answers, once all of them have theirs. If all is well, repeats
 * the calls acknowledged since entry `from`: earlier entries have been repeated before.
 */
export async function examine(url: string, journal: Journal, from = 0): Promise<Finding[]> {
  const findings = [...journal.entries.flatMap(oddities), ...(await readLedger(url, journal))];
  // Replays come last, because they would book what was lost and so hide the loss.
  return findings.length > 0 ? findings : replay(url, journal.entries.slice(from));
}

async function readLedger(url: string, journal: Journal): Promise<Finding[]> {
  const client = await connectTo(url);
  try {
    const acknowledged = journal.acknowledged();
    return [
      await bookedOnce(client, acknowledged),
      await keysAsAcknowledged(client, acknowledged),
      await remainingAddsUp(client, acknowledged),
      await appRowsAsAcknowledged(client, journal),
      (await verify(client)).findings,
    ].flat();
  } finally {
    await client.end();
  }
}

/** Errors to which no history of ours can lead. */
function oddities(entry: Entry): Finding[] {
  const key = entry.call.parts[0]?.key ?? '';
  const found: Finding[] = [];
  const find = (check: string, expected: string, actual: string) =>
    found.push({ check, account_id: null, subject: key, expected, actual });
  if (!entry.answers && entry.refusal === undefined)
    find('every_call_is_answered', 'an answer', 'none');
  // No caller asks for more than was spent or is held, or for what was not acknowledged.
  const refused = (i: number) => entry.answers?.[i]?.error_code ?? entry.refusal;
  for (const [i, part] of entry.call.parts.entries()) {
    const code = refused(i);
    const isFine = isFree(part) ? !code : !code || code === 'PT402';
    if (!isFine) find('only_shortages_are_refused', isFree(part) ? 'none' : 'PT402', `${code}`);
  }
  // This was the first attempt, or every earlier one was answered: so nothing was there yet.
  if (entry.lost === 0 && entry.answers?.some(({ replayed }) => replayed))
    find('an_error_leaves_nothing', 'a first answer', 'a replay');
  return found;
}

const figures = ['transaction_id', 'hold_id', 'amount', 'balance', 'available', 'held'] as const;
const figuresOf = (answer: Answer | undefined) =>
  figures.map((name) => `${name} ${answer?.[name] ?? '-'}`).join(', ');

/** Repeats each call with its key: it must get the same answer, and change nothing. */
async function replay(url: string, entries: Entry[]): Promise<Finding[]> {
  // What was refused in a batch could succeed now.
  const whole = entries.filter(({ answers }) => answers?.every(({ error_code }) => !error_code));
  const found: Finding[] = [];
  const queue = whole.values(); // shared by the sessions
  const session = async () => {
    const own = new Session(() => url);
    for (const entry of queue) {
      const answers = await own.run(await own.connection(), entry.call).catch(async (error) => {
        await own.end();
        return [error as Error];
      });
      found.push(...acknowledgedParts(entry).flatMap((each, i) => compare(each, answers[i])));
    }
    await own.end();
  };
  await Promise.all([session(), session(), session(), session()]);
  return found;
}

function compare({ part, answer }: Acknowledged, again: Answer | Error | undefined): Finding[] {
  const expected = `${figuresOf(answer)}, replayed true`;
  const actual =
    again instanceof Error ? again.message : `${figuresOf(again)}, replayed ${again?.replayed}`;
  if (expected === actual) return [];
  const check = 'a_retry_gets_the_first_answer';
  return [{ check, account_id: part.account, subject: part.key, expected, actual }];
}

/** The app's own rows were committed with their calls, or not at all. */
async function appRowsAsAcknowledged(client: pg.Client, journal: Journal): Promise<Finding[]> {
  const expected = journal.entries
    .filter(({ call, answers }) => call.inTransaction && answers)
    .map(({ call }) => call.parts[0]?.key);
  const { rows } = await client.query('select key from app.requests');
  const actual = new Set(rows.map(({ key }) => key));
  const missing = expected.filter((key) => !actual.delete(key));
  const check = 'app_rows_commit_with_their_calls';
  const find = (subject = '', there = false): Finding => ({
    check,
    account_id: null,
    subject,
    expected: there ? 'none' : 'a row',
    actual: there ? 'a row' : 'none',
  });
  return [...missing.map((key) => find(key)), ...[...actual].map((key) => find(key, true))];
}
