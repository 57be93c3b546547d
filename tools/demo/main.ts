import pg from 'pg';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { connect } from '../../scripts/postgres/connect.ts';
import { orFail, runProcess } from '../../scripts/shell/command.ts';
import { Failure } from '../../scripts/shell/explain.ts';
import { parseOptions } from '../../scripts/shell/options.ts';
import { onSignals } from '../../scripts/shell/signals.ts';
import { type Postgres, startPostgres } from '../postgres/embedded.ts';
import { forgetSettings } from '../postgres/environment.ts';
import { overspend, refund, retry } from './changes.ts';
import { compare } from './compare.ts';
import { replay } from './replay.ts';
import { agentRun, limitAndDispute } from './runs.ts';

const help = `npm run demo: one real account's month, in the old books and in pg-credits, side by side

It starts a Postgres of its own, in a folder of its own, and removes both at the end.

  npm run demo -- --keep    keep it up until Ctrl-C, to connect with psql
  npm run demo -- --help    show this text`;

async function main(args: string[]): Promise<number> {
  const { values: options } = parseOptions(args, {
    keep: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
  if (options.help) return say(help);
  forgetSettings();

  say('pg-credits demo: one account, one month, two sets of books in one database\n');
  const postgres = await step('starting a Postgres of its own', start);
  try {
    const url = await createDatabase(postgres);
    await tell(url);
    if (options.keep) await keepUp(url);
  } finally {
    await postgres.stop();
  }
  say('The server is stopped and its folder removed.');
  if (!options.keep) say('To keep it up and look around with psql: npm run demo -- --keep');
  return 0;
}

async function start(): Promise<Postgres> {
  return startPostgres().catch((error: Error) => {
    // The last line is the server's, where it has said anything.
    const [what, ...words] = error.message.trim().split('\n');
    throw new Failure([what, ...words.slice(-1)].join('; '), undefined, { cause: error });
  });
}

async function createDatabase({ url }: Postgres): Promise<string> {
  const client = await connect({ connectionString: url });
  await client.query('create database app');
  await client.end();
  const app = new URL(url);
  app.pathname = '/app';
  return app.href;
}

async function tell(connectionString: string): Promise<void> {
  await step('deploying pg-credits to its database app', () => deploy({ connectionString }));
  // All figures here are well within 2^53.
  const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format) =>
    oid === pg.types.builtins.INT8 ? Number : pg.types.getTypeParser(oid, format);
  const client = await connect({ connectionString, types: { getTypeParser } });
  try {
    const calls = await step('replaying the calls, in both books', () => replay(client));
    say(`\n${await compare(client)}\n`);
    say(`${await refund(client, calls)}\n`);
    say(`${await retry(client, calls)}\n`);
    say(`${await overspend(client)}\n`);
    say(`${await agentRun(client)}\n`);
    say(`${await limitAndDispute(client)}\n`);
  } finally {
    await client.end().catch(() => {});
  }
}

async function keepUp(url: string): Promise<void> {
  say(`It stays up until Ctrl-C. In another terminal:

  psql "${url}"

  select * from old_way.surfaces;
  select * from credits.remaining;
  select api_key_id, operation, net_used, calls from credits.usage;
  select * from credits.explain_balance('acme');
  select transaction_id, balance from credits.deduct_credits('acme', 5, 'my first key', 'key_app');
  update credits_private.accounts set balance = balance + 5;  -- refused
`);
  const alive = setInterval(() => {}, 60_000); // a signal handler alone keeps no process
  await new Promise<unknown>((resolve) => onSignals(resolve));
  clearInterval(alive);
}

async function step<T>(what: string, work: () => Promise<T>): Promise<T> {
  process.stdout.write(`${what} ... `);
  const started = Date.now();
  const seconds = () => ((Date.now() - started) / 1000).toFixed(1);
  return work().finally(() => process.stdout.write(`${seconds()} s\n`));
}

function say(text: string): number {
  console.log(text);
  return 0;
}

await runProcess((args) => orFail(main(args), args, 'npm run demo -- --help'));
