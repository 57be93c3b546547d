import { setTimeout as sleep } from 'node:timers/promises';
import { hasAdopted, readAsUser, readParties } from '../adoption/app/parties.ts';
import { compare } from '../adoption/compare/compare.ts';
import { describeSample } from '../adoption/compare/report.ts';
import { describeGate, watchGate } from '../adoption/cutover/gate.ts';
import { checkMapping } from '../adoption/mapping/check.ts';
import { withClient } from '../postgres/connect.ts';
import type { Given } from '../shell/command.ts';
import { UsageError } from '../shell/explain.ts';
import { toJson } from '../shell/format.ts';
import { atLeastOne, sharedHelp, wholeNumber } from '../shell/options.ts';
import { endQuietly } from '../shell/signals.ts';
import type { Answer, Terminal } from '../shell/terminal.ts';
import { mappingFrom, mappingHelp, mappingOptions } from './shared.ts';

export const help = `pg-credits compare: the app's balances beside the ledger's, as of one moment; reads only

For each account: what the app's balance says, what its transactions sum up to, what the ledger says, and how far that
is from what adopt was told to trust. It reads all of the app's transactions each time.
Exit status: 0 done, or the gate is open; 1 it failed, or the gate is shut; 2 wrong usage; 130 interrupted.

${mappingHelp}
  --watch               again and again, until interrupted
  --gate                may the app be cut over? Only if each account is adopted and agrees, the shadow is on and no
                        write is left to mirror, in each sample of the window; the first that says no ends it
  --window SECONDS      how long the gate watches (60)
  --every SECONDS       time between samples (5)
${sharedHelp}`;

export const options = {
  ...mappingOptions,
  watch: { type: 'boolean' },
  gate: { type: 'boolean' },
  window: { type: 'string' },
  every: { type: 'string' },
} as const;

export async function run({ values }: Given<typeof options>, terminal: Terminal): Promise<Answer> {
  const { gate, watch } = values;
  if (gate && watch) throw new UsageError('--gate or --watch, not both');
  if (!gate && values.window !== undefined) throw new UsageError('--window is for --gate');
  if (!gate && !watch && values.every !== undefined)
    throw new UsageError('--every is for --gate and --watch');
  const window = wholeNumber('window', values.window) ?? 60;
  const every = atLeastOne('every', values.every) ?? 5;
  const mapping = mappingFrom(values);
  if (watch) endQuietly();
  return withClient(values, terminal.aside, async (client) => {
    const parties = await readParties(client);
    await readAsUser(client, parties, async () =>
      checkMapping(client, mapping, await hasAdopted(client, parties)),
    );
    const sample = () => compare(client, mapping, parties);
    if (gate) {
      const report = await watchGate(sample, { window, every, progress: terminal.log });
      return { report, lines: describeGate(report), code: report.open ? 0 : 1 };
    }
    for (;;) {
      const report = await sample();
      const lines = describeSample(report);
      if (!watch) return { report, lines };
      // One sample per line: programs that read a stream of JSON read it by lines.
      if (terminal.json) terminal.print(toJson(report).replace(/\n */g, ''));
      else terminal.print(`${report.at}\n${lines.join('\n')}\n`);
      await sleep(every * 1000);
    }
  });
}
