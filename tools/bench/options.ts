import { Failure, UsageError } from '../../scripts/shell/explain.ts';
import { atLeastOne, parseCommand, wholeNumber } from '../../scripts/shell/options.ts';
import { contenderIds } from './cells.ts';
import type { Driver } from './driver.ts';
import { groupIds } from './growth/ids.ts';
import { nodeDriver } from './node-driver.ts';
import { findPgbench } from './pgbench.ts';

export const help = `npm run bench: what pg-credits costs, beside what one would otherwise do

  npm run bench                 the alternatives: the bare floor, by hand, a shared house account (11 minutes)
  npm run bench -- growth       how cost grows with what lies around a call, and bytes per deduction (40 minutes)
  npm run bench -- instructions what a call costs a server in instructions (3 minutes; see its --help)
  npm run bench -- --quick      only what the goals need, less exactly (2 minutes)

It brings a Postgres with durable settings, and removes it. pgbench makes the calls if it is installed.

  --database-url URL    take that server (or DATABASE_URL's), in scratch databases that are dropped
  --rounds N            how often each contender is measured (5)
  --seconds N           how long each time, after some that are not counted (2)
  --clients LIST        for example 1,8,32
  --only LIST           some of: ${contenderIds.join(', ')};
                        growth: some of ${groupIds.join(', ')}
  --accounts N          accounts (10000)
  --entries N           growth: the most entries (10000000)
  --driver NAME         pgbench or node
  --pgbench PATH        where pgbench is
  --out FOLDER          write bench.json and bench.svg there (growth: growth.json)
  --json                print JSON
  -h, --help            show this text`;

export type Options = ReturnType<typeof parseOptions>;

export function parseOptions(args: string[]) {
  const { values, positionals } = parseCommand(
    args,
    {
      quick: { type: 'boolean' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      clients: { type: 'string' },
      only: { type: 'string' },
      accounts: { type: 'string' },
      entries: { type: 'string' },
      driver: { type: 'string' },
      pgbench: { type: 'string' },
      out: { type: 'string' },
    },
    true,
  );
  const [what = 'alternatives', ...more] = positionals;
  if (!['alternatives', 'growth'].includes(what) || more.length > 0)
    throw new UsageError(`unexpected argument '${more[0] ?? what}'`);
  const { quick = false, json = false, help = false } = values;
  return {
    isGrowth: what === 'growth',
    quick,
    json,
    help,
    url: values['database-url'] || process.env.DATABASE_URL || undefined,
    wait: wholeNumber('wait', values.wait) ?? 0,
    rounds: atLeastOne('rounds', values.rounds) ?? (quick ? 3 : 5),
    seconds: duration(values.seconds) ?? (quick ? 1 : 2),
    clients: list(values.clients)?.map((word) => atLeastOne('clients', word) ?? 1),
    only: list(values.only)?.map((word) =>
      known(word, what === 'growth' ? groupIds : contenderIds),
    ),
    accounts: atLeastOne('accounts', values.accounts) ?? 10_000,
    entries: atLeastOne('entries', values.entries) ?? 10_000_000,
    driver: values.driver,
    pgbench: values.pgbench,
    out: values.out,
  };
}

/** Fractions of a second are for trials: pgbench rounds them up. */
function duration(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d{1,4}(\.\d+)?$/.test(value) || Number(value) === 0)
    throw new UsageError(`--seconds must be a number above 0, not ${value}`);
  return Number(value);
}

const list = (value: string | undefined) => value?.split(',').map((word) => word.trim());

function known(word: string, ids: string[]): string {
  if (ids.includes(word)) return word;
  throw new UsageError(`--only knows ${ids.join(', ')}: ${word}`);
}

/** pgbench if it is installed, because it costs less; else our own loop. */
export async function chooseDriver({ driver, pgbench: path }: Options): Promise<Driver> {
  if (driver !== undefined && driver !== 'pgbench' && driver !== 'node')
    throw new UsageError(`--driver is pgbench or node: ${driver}`);
  if (driver === 'node') return nodeDriver;
  const found = await findPgbench(path ?? 'pgbench');
  if (!found && (driver === 'pgbench' || path !== undefined))
    throw new Failure(`no pgbench ${path ? `at ${path}` : 'in the PATH'}: see --pgbench, --driver`);
  return found ?? nodeDriver;
}
