import { setTimeout as sleep } from 'node:timers/promises';
import { hasAdopted, readAsUser, readParties } from '../adoption/app/parties.ts';
import { compare } from '../adoption/compare/compare.ts';
import { describeSample } from '../adoption/compare/report.ts';
import { describeGate, watchGate } from '../adoption/cutover/gate.ts';
import { checkMapping } from '../adoption/mapping/check.ts';
import { readMapping } from '../adoption/mapping/mapping.ts';
import {
  parseCommand,
  sharedHelp,
  UsageError,
  wholeNumber,
  withClient,
} from '../postgres/connect.ts';
import { toJson } from '../shell/format.ts';
import { endOnInterrupt } from '../shell/signals.ts';

export const help = `pg-credits compare: the app's balances beside the ledger's, as of one moment; reads only

For each account: what the app's balance says, what its transactions sum up to, what the ledger says, and how far that
is from what adopt was told to trust. It reads all of the app's transactions each time.
Exit status: 0 done, or the gate is open; 1 it failed, or the gate is shut; 2 wrong usage; 130 interrupted.

  --mapping FILE        where the app keeps its credits (pg-credits.yaml)
  --watch               again and again, until interrupted
  --gate                may the app be cut over? Only if each account is adopted and agrees, the shadow is on and no
                        write is left to mirror, in each sample of the window; the first that says no ends it
  --window SECONDS      how long the gate watches (60)
  --every SECONDS       time between samples (5)
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseCommand(args, {
    mapping: { type: 'string' },
    watch: { type: 'boolean' },
    gate: { type: 'boolean' },
    window: { type: 'string' },
    every: { type: 'string' },
  });
  const { json = false, gate, watch } = values;
  if (gate && watch) throw new UsageError('--gate or --watch, not both');
  if (!gate && values.window !== undefined) throw new UsageError('--window is for --gate');
  if (!gate && !watch && values.every !== undefined)
    throw new UsageError('--every is for --gate and --watch');
  const window = wholeNumber('window', values.window) ?? 60;
  const every = wholeNumber('every', values.every) ?? 5;
  if (every === 0) throw new UsageError('--every must be at least 1, not 0');
  const mapping = readMapping(values.mapping ?? 'pg-credits.yaml');
  if (watch) endOnInterrupt();
  return withClient(values, async (client) => {
    const parties = await readParties(client);
    await readAsUser(client, parties, async () =>
      checkMapping(client, mapping, await hasAdopted(client, parties)),
    );
    const sample = () => compare(client, mapping, parties);
    if (gate) {
      const progress = (line: string) =>
        console.error(json ? JSON.stringify({ progress: line }) : line);
      const report = await watchGate(sample, { window, every, progress });
      console.log(json ? toJson(report) : describeGate(report).join('\n'));
      return report.open ? 0 : 1;
    }
    for (;;) {
      const seen = await sample();
      const lines = describeSample(seen);
      // One sample, one line: what reads a stream of JSON reads lines.
      if (json) console.log(watch ? toJson(seen).replace(/\n */g, '') : toJson(seen));
      else console.log(watch ? `${seen.at}\n${lines.join('\n')}\n` : lines.join('\n'));
      if (!watch) return 0;
      await sleep(every * 1000);
    }
  });
}
