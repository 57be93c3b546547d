import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageVersion } from '../../scripts/package.ts';
import { orFail, runProcess } from '../../scripts/shell/command.ts';
import { Failure } from '../../scripts/shell/explain.ts';
import { toJson } from '../../scripts/shell/format.ts';
import { exitStatus, onSignals, type Signal } from '../../scripts/shell/signals.ts';
import { openScratch } from '../postgres/scratch.ts';
import { startProgress } from '../progress.ts';
import { measureAlternatives } from './alternatives.ts';
import { describeFacts, readFacts } from './describe.ts';
import { measureGrowth } from './growth.ts';
import { describeGrowth, jsonOfGrowth } from './growth-report.ts';
import { countInstructions } from './instructions/command.ts';
import { chooseDriver, help, parseOptions } from './options.ts';
import { describeAlternatives, jsonOf } from './report.ts';
import type { Setting } from './setting.ts';
import { drawPlot } from './svg.ts';

async function main(args: string[]): Promise<number> {
  const [what, ...rest] = args;
  if (what === 'instructions') return countInstructions(rest, heedSignals());
  const options = parseOptions(args);
  if (options.help) {
    console.log(help);
    return 0;
  }
  if (options.out !== undefined) mkdirSync(options.out, { recursive: true });
  const signal = heedSignals();
  const driver = await chooseDriver(options);
  const progress = startProgress();
  progress.say(options.url ? 'connecting' : 'starting a Postgres');
  const scratch = await openScratch(options.url, options.wait);
  try {
    const measured = measure({ scratch, driver, options, progress, signal });
    const { lines, files } = await Promise.race([interrupted(signal), measured]);
    progress.wipe();
    console.log(options.json ? Object.values(files)[0] : lines.join('\n'));
    for (const [name, text] of Object.entries(files))
      if (options.out !== undefined) writeFileSync(join(options.out, name), `${text}\n`);
    return 0;
  } finally {
    progress.wipe();
    const done = await scratch.close();
    if (signal.aborted) console.error(`interrupted: ${done}`);
  }
}

async function measure(setting: Setting) {
  const { scratch, driver, options } = setting;
  const { rounds, seconds, isGrowth } = options;
  const facts = await readFacts(scratch.admin, scratch.isOwn, driver);
  const about = { pg_credits: packageVersion(), at: new Date(), rounds, seconds, ...facts };
  if (isGrowth) {
    const growth = await measureGrowth(setting);
    const lines = [...describeGrowth(growth), '', ...describeFacts(facts)];
    return { lines, files: { 'growth.json': toJson({ ...about, ...jsonOfGrowth(growth) }) } };
  }
  const found = await measureAlternatives(setting);
  const files = {
    'bench.json': toJson({ ...about, ...jsonOf(found) }),
    'bench.svg': drawPlot(found.cells, facts),
  };
  return { lines: [...describeAlternatives(found), '', ...describeFacts(facts)], files };
}

/** Under npm a signal may arrive twice. The first one is enough, since cleaning up does not take long. */
function heedSignals(): AbortSignal {
  const controller = new AbortController();
  onSignals((signal) => controller.abort(new Failure('interrupted', signal)));
  return controller.signal;
}

/** Rejects when the signal arrives; work under way ends with its connections. */
function interrupted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason));
  });
}

/** The status of a measurement that a signal ended, about which there is nothing more to say. */
const statusOf = (error: unknown): number | undefined =>
  error instanceof Failure ? exitStatus[error.code as Signal] : undefined;

async function bench(args: string[]): Promise<number> {
  try {
    return await main(args);
  } catch (error) {
    const status = statusOf(error);
    if (status === undefined) throw error;
    return status;
  }
}

await runProcess((args) => orFail(bench(args), args, 'npm run bench -- --help'));
