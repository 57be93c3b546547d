import { connect } from '../../scripts/postgres/connect.ts';
import { orFail, runProcess } from '../../scripts/shell/command.ts';
import { toJson } from '../../scripts/shell/format.ts';
import { exitStatus, onSignals } from '../../scripts/shell/signals.ts';
import { type Postgres, startPostgres } from '../postgres/embedded.ts';
import { openScratch } from '../postgres/scratch.ts';
import { startProgress } from '../progress.ts';
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
  let interrupted = false;
  onSignals((signal) => {
    if (interrupted) return; // under npm a Ctrl-C arrives twice
    interrupted = true;
    void close().finally(() => process.exit(exitStatus[signal]));
  });
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

await runProcess((args) => orFail(main(args), args, 'npm run mutate -- --help'));
