import { connect } from '../../scripts/postgres/connect.ts';
import { explain, UsageError } from '../../scripts/shell/explain.ts';
import { toJson } from '../../scripts/shell/format.ts';
import { startProgress } from '../bench/progress.ts';
import { openScratch } from '../bench/scratch.ts';
import { type Postgres, startPostgres } from '../postgres/embedded.ts';
import { help, type Options, parseMutate } from './options.ts';
import { describe } from './report.ts';
import { mutate, type Report } from './run.ts';

async function main(args: string[]): Promise<number> {
  const options = parseMutate(args);
  if (options.help) {
    console.log(help);
    return 0;
  }
  const reports = await onScratch(options);
  if (options.json) console.log(toJson(reports));
  else console.log(reports.map((report) => describe(report).join('\n')).join('\n\n'));
  return reports.every(({ faults }) => faults.length === 0) ? 0 : 1;
}

async function onScratch(options: Options): Promise<Report[]> {
  const progress = startProgress();
  progress.say('starting');
  let own: Postgres | undefined;
  if (options.url === undefined) own = await startPostgres({ major: options.major });
  const scratch = await openScratch(options.url ?? own?.url, options.wait);
  const close = async () => {
    progress.wipe();
    await scratch.close();
    await own?.stop();
  };
  for (const [signal, status] of Object.entries(exitStatus))
    process.once(signal, () => close().finally(() => process.exit(status)));
  try {
    const client = await connect({ connectionString: await scratch.create() });
    client.on('error', () => {}); // its database is dropped when we are interrupted
    const reports = await mutate(client, options, progress.say);
    await client.end();
    return reports;
  } finally {
    await close();
  }
}

const exitStatus = { SIGINT: 130, SIGTERM: 143 };

process.exitCode = await main(process.argv.slice(2)).catch((error) => {
  const isUsage = error instanceof UsageError;
  console.error(`${explain(error)}${isUsage ? '; see npm run mutate -- --help' : ''}`);
  if (process.env.PG_CREDITS_DEBUG === '1') console.error(error);
  return isUsage ? 2 : 1;
});
