import type pg from 'pg';
import { withLocks } from '../adoption/app/locks.ts';
import { hasAdopted, readAsUser, readParties } from '../adoption/app/parties.ts';
import { compare } from '../adoption/compare/compare.ts';
import * as reports from '../adoption/compare/shadow-report.ts';
import { checkMapping } from '../adoption/mapping/check.ts';
import type { Mapping } from '../adoption/mapping/mapping.ts';
import { forget, installShadow, removeShadow } from '../adoption/shadow/install.ts';
import { giveUp, retryFailures } from '../adoption/shadow/retry.ts';
import { findTrigger, readShadow } from '../adoption/shadow/shadow.ts';
import { withClient } from '../postgres/connect.ts';
import type { Given } from '../shell/command.ts';
import { UsageError } from '../shell/explain.ts';
import { sharedHelp } from '../shell/options.ts';
import { endTransaction } from '../shell/signals.ts';
import type { Answer, Log, Terminal } from '../shell/terminal.ts';
import { mappingFrom, mappingHelp, mappingOptions } from './shared.ts';

export const help = `pg-credits shadow: book each write to the app's transactions in the ledger, too

  pg-credits shadow install   put a trigger on the table that the mapping names, or change it for this mapping
  pg-credits shadow status    whether it is on, what it has mirrored, and what it could not
  pg-credits shadow retry     book what it could not mirror
  pg-credits shadow remove    take the trigger away: the app goes on alone

A write to an account that was adopted is in the ledger when the app commits, and gone when it rolls back. It never
fails because of the shadow, and waits half a deadlock_timeout at most: what cannot be mirrored is recorded, with its reason.
A cancel or statement_timeout that falls into our work does not undo the write, but what follows in its transaction is
only recorded, and a second one is not caught. Many rows of one account in one transaction take ever longer, 200 rows
0.4 s, 2000 rows 42 s: commit a backfill every 200 rows or so, or run it before adopt.
Install it as the table's owner, who must be able to act as the owner of credits. It waits for transactions that have written to the
table and are still open; writers that come meanwhile wait as long.
Exit status: 0 done, 1 it failed or something is left, 2 wrong usage, 130 or 143 interrupted.

${mappingHelp}
  --give-up ID          with retry: drop this failure, which can never be booked (as often as needed); what it leaves
                        amiss, compare shows, until it is booked by hand with credits.grant_credits or deduct_credits
  --forget              with remove: and forget what was adopted, when the app's tables are given up for good
${sharedHelp}`;

export const options = {
  ...mappingOptions,
  'give-up': { type: 'string', multiple: true },
  forget: { type: 'boolean' },
} as const;
export const allowPositionals = true;

export async function run(
  { values, positionals }: Given<typeof options>,
  terminal: Terminal,
): Promise<Answer> {
  const [action = '', ...more] = positionals;
  const act = Object.hasOwn(actions, action) ? actions[action] : undefined;
  if (!act || more.length > 0)
    throw new UsageError(
      positionals.length === 0
        ? 'say what to do: install, status, retry or remove'
        : `install, status, retry or remove is expected, not ${positionals.join(' ')}`,
    );
  if (values.forget && action !== 'remove') throw new UsageError('--forget is for remove');
  const { 'give-up': givenUp = [], forget = false } = values;
  if (givenUp.length > 0 && action !== 'retry') throw new UsageError('--give-up is for retry');
  const wrong = givenUp.find((id) => !/^\d{1,18}$/.test(id));
  if (wrong !== undefined)
    throw new UsageError(`--give-up must be the number of a failure, not ${wrong}`);
  const mapping = () => mappingFrom(values);
  const { log } = terminal;
  endTransaction(terminal);
  return withClient(values, terminal.aside, (client) =>
    act({ client, mapping, log, givenUp, forget }),
  );
}

interface Job {
  client: pg.Client;
  mapping: () => Mapping;
  log: Log;
  givenUp: string[];
  forget: boolean;
}

const actions: Record<string, (job: Job) => Promise<Answer>> = {
  async install({ client, mapping: read, log }: Job) {
    const mapping = read();
    const parties = await readParties(client);
    await readAsUser(client, parties, () => checkMapping(client, mapping));
    const { table } = mapping.transactions;
    const installed = await withLocks(client, parties, [table], log, () =>
      installShadow(client, mapping, parties),
    );
    const state = await readShadow(client, mapping);
    return { report: { ...state, installed }, lines: reports.installed(state, installed) };
  },

  async status({ client, mapping }: Job) {
    const [mapped, parties] = [mapping(), await readParties(client)];
    await readAsUser(client, parties, async () =>
      checkMapping(client, mapped, await hasAdopted(client, parties)),
    );
    const report = await compare(client, mapped, parties);
    return { report, lines: reports.status(report) };
  },

  async retry({ client, mapping: read, givenUp }: Job) {
    const [mapping, parties] = [read(), await readParties(client)];
    if (givenUp.length > 0) await giveUp(client, parties, givenUp);
    const report = { given_up: givenUp, ...(await retryFailures(client, mapping, parties)) };
    return { report, lines: reports.retried(report), code: report.left.length > 0 ? 1 : 0 };
  },

  async remove({ client, log, forget: all }: Job) {
    const parties = await readParties(client);
    const tables = [(await findTrigger(client))?.table ?? []].flat();
    const report = await withLocks(client, parties, tables, log, async () => {
      const removed = await removeShadow(client, parties);
      return { removed: removed ?? null, forgotten: all && (await forget(client, parties)) };
    });
    return { report, lines: reports.removed(report) };
  },
};
