import { UsageError } from '../../scripts/shell/explain.ts';
import { atLeastOne, parseCommand, wholeNumber } from '../../scripts/shell/options.ts';

export const help = `npm run mutate: is every change by hand refused, or found?

It fills a database by real calls, and changes it, one thing at a time: every column of every table that has accounts,
and whole rows. Behind the guards' back, credits.discrepancies must find each change; before the guards, as the owner of
the tables, each must be refused. The exceptions are listed, with the reason: tools/mutate/untold.ts, unguarded.ts.
Exit status: 0 everything was found or is listed, 1 something was not or a list is out of date, 2 wrong usage.

  npm run mutate                 both ways, on a Postgres of its own (10 minutes)
  npm run mutate -- --small      a few changes of each kind, as the tests do it

  --triggers on|off     only before the guards, or behind their back
  --columns LIST        for example holds.amount,grants.source; 'holds (deleted)', 'holds (copied)' are whole rows
  --mutants N           changes of each kind (60)
  --accounts N          accounts (14)
  --steps N             calls for each account (60)
  --seed N              for another history and other changes (1)
  --server MAJOR        of its own Postgres: 15, 16, 17 or 18 (18)
  --database-url URL    or take that server (or DATABASE_URL's), in a database of its own, which is dropped
  --json                print JSON
  -h, --help            show this text`;

export type Options = ReturnType<typeof parseMutate>;

export function parseMutate(args: string[]) {
  const { values } = parseCommand(args, {
    small: { type: 'boolean' },
    triggers: { type: 'string' },
    columns: { type: 'string' },
    mutants: { type: 'string' },
    accounts: { type: 'string' },
    steps: { type: 'string' },
    seed: { type: 'string' },
    server: { type: 'string' },
  });
  const { small = false, json = false, help = false, triggers } = values;
  if (triggers !== undefined && triggers !== 'on' && triggers !== 'off')
    throw new UsageError(`--triggers is on or off: ${triggers}`);
  return {
    help,
    json,
    ways: triggers === undefined ? (['off', 'on'] as const) : ([triggers] as const),
    columns: values.columns?.split(',').map((word) => word.trim()),
    mutants: atLeastOne('mutants', values.mutants) ?? (small ? 4 : 60),
    mostListed: small ? 12 : 400,
    accounts: atLeastOne('accounts', values.accounts) ?? 14,
    steps: atLeastOne('steps', values.steps) ?? 60,
    seed: wholeNumber('seed', values.seed) ?? 1,
    major: wholeNumber('server', values.server) ?? 18,
    url: values['database-url'] || process.env.DATABASE_URL || undefined,
    wait: wholeNumber('wait', values.wait) ?? 0,
  };
}
