// Runs plpgsql_check over all our PL/pgSQL, on Debian's Postgres 15: columns that do not exist, values
// that are never used or are cast on their way, a wrong volatility. Exit status: 0 passed, 1 it found something, 77 skipped.
import { existsSync } from 'node:fs';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { connect } from '../../scripts/postgres/connect.ts';
import { startPostgres } from '../postgres/embedded.ts';
import { type Exception, report, skip } from './findings.ts';

const binaries = '/usr/lib/postgresql/15';
const extension = '/usr/share/postgresql/15/extension/plpgsql_check.control';

interface Finding {
  routine: string;
  line: number | null;
  level: string;
  message: string;
  detail: string | null;
}

const exceptions: Exception<Finding>[] = [
  {
    finds: ({ level, detail }) =>
      level === 'performance' &&
      /^cast "(integer|numeric)(\[\])?" value to "bigint/.test(detail ?? ''),
    because:
      'a sum of bigint is numeric, a constant an integer: a cast in words would be a cast too',
  },
  {
    finds: ({ routine, message }) =>
      routine.startsWith('credits_private.refund_target(') && message.startsWith('composite OUT'),
    because: 'it returns the account and the grant: two, of which one is composite',
  },
];

const planted = `
  create schema planted;
  create function planted.reads_what_is_not_there() returns bigint language plpgsql as
    'begin return (select a.no_such_column from credits_private.accounts as a); end'`;

const query = `
  select p.oid::regprocedure::text as routine, x.lineno as line, x.level, x.message, x.detail
  from pg_catalog.pg_proc as p
  join pg_catalog.pg_language as l on l.oid = p.prolang and l.lanname = 'plpgsql'
  join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
  left join (
    select distinct t.tgfoid, t.tgrelid from pg_catalog.pg_trigger as t
  ) as t on t.tgfoid = p.oid
  cross join lateral public.plpgsql_check_function_tb(
    p.oid, coalesce(t.tgrelid, 0), fatal_errors => false, all_warnings => true) as x
  where n.nspname in ('credits', 'credits_private', 'planted')
  order by 1, 2`;

async function readFindings(): Promise<Finding[]> {
  const postgres = await startPostgres({ major: 15, binaries });
  try {
    await deploy({ connectionString: postgres.url });
    const client = await connect({ connectionString: postgres.url });
    try {
      await client.query(`create extension plpgsql_check; ${planted}`);
      return (await client.query<Finding>(query)).rows;
    } finally {
      await client.end();
    }
  } finally {
    await postgres.stop();
  }
}

async function check(): Promise<number> {
  if (!existsSync(extension)) return skip("Debian's postgresql-15-plpgsql-check is not installed");
  return report({
    findings: await readFindings(),
    exceptions,
    isPlanted: ({ routine }) => routine.startsWith('planted.'),
    describe: ({ routine, line, level, message, detail }) =>
      [`${routine}${line === null ? '' : `:${line}`}: ${level}: ${message}`, detail ?? ''].join(
        ' ',
      ),
  });
}

process.exitCode = await check();
