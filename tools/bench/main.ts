import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageVersion } from '../../scripts/package.ts';
import { explain, Failure, UsageError } from '../../scripts/shell/explain.ts';
import { toJson } from '../../scripts/shell/format.ts';
import { measureAlternatives } from './alternatives.ts';
import { describeFacts, readFacts } from './describe.ts';
import { measureGrowth } from './growth.ts';
import { describeGrowth } from './growth-report.ts';
import { countInstructions } from './instructions/command.ts';
import { chooseDriver, help, parseOptions } from './options.ts';
import { startProgress } from './progress.ts';
import { describeAlternatives, jsonOf } from './report.ts';
import { openScratch } from './scratch.ts';
import type { Setting } from './setting.ts';
import { drawPlot } from './svg.ts';

async function main(args: string[]): Promise<void> {
  const [what, ...rest] = args;
  if (what === 'instructions') {
    process.exitCode = await countInstructions(rest, heedSignals());
    return;
  }
  const options = parseOptions(args);
  if (options.help) return console.log(help);
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
    return { lines, files: { 'growth.json': toJson({ ...about, ...growth }) } };
  }
  const found = await measureAlternatives(setting);
  const files = {
    'bench.json': toJson({ ...about, ...jsonOf(found) }),
    'bench.svg': drawPlot(found.cells, facts),
  };
  return { lines: [...describeAlternatives(found), '', ...describeFacts(facts)], files };
}

const exitStatus: Record<string, number> = { SIGINT: 130, SIGTERM: 143 };

/** Under npm a signal may come twice: once is enough, and what is cleaned up does not take long. */
function heedSignals(): AbortSignal {
  const controller = new AbortController();
  for (const signal of Object.keys(exitStatus))
    process.on(signal, () => controller.abort(new Failure('interrupted', signal)));
  return controller.signal;
}

/** Fails when the signal comes: what is under way ends with its connections. */
function interrupted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason));
  });
}

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

await main(process.argv.slice(2)).catch((error) => {
  const status = exitStatus[error instanceof Failure ? (error.code ?? '') : ''];
  process.exitCode = status ?? (error instanceof UsageError ? 2 : 1);
  if (status) return;
  const hint = error instanceof UsageError ? '; see npm run bench -- --help' : '';
  console.error(`${explain(error)}${hint}`);
  if (process.env.PG_CREDITS_DEBUG === '1') console.error(error);
});
