import type pg from 'pg';
import type { Package } from '../package.ts';
import type { Live } from '../postgres/live.ts';
import { codeOf, explain, isLostConnection } from '../shell/explain.ts';
import { type Finding, finding, type NotChecked } from './checks.ts';

/** One promise of sql/checks/, and how long it took to check. */
export interface Checked {
  name: string;
  /** What was found, including what is not listed for its length. */
  rows: number;
  milliseconds: number;
}

export interface Promises {
  checks: Checked[];
  findings: Finding[];
  not_checked: NotChecked[];
}

/**
 * For this transaction alone: the checks sum whole ledgers, in hash tables that 4 MB would put on
 * disk, and to compile each of their plans takes longer than it saves. More memory is left as it is.
 */
const roomForSums = `
  select pg_catalog.set_config('jit', 'off', true),
    pg_catalog.set_config('work_mem', pg_catalog.concat(greatest(s.setting::bigint, 65536), 'kB'), true)
  from pg_catalog.pg_settings as s where s.name = 'work_mem'`;

const view = 'credits.discrepancies';
const most = 10_000;

/** The promises that the package has a check of; the catalogue tells more of only_granted_roles_can_call. */
export const promisesOf = ({ files }: Package): string[] =>
  files
    .flatMap(({ path }) => /^sql\/checks\/(\w+)\.sql$/.exec(path)?.[1] ?? [])
    .filter((name) => name !== 'only_granted_roles_can_call')
    .sort();

/** What breaks each promise. One that cannot be read ends the transaction, and the search with it. */
export async function checkPromises(
  client: pg.ClientBase,
  live: Live,
  names: string[],
  progress: (line: string) => void = () => {},
): Promise<Promises> {
  const found: Promises = { checks: [], findings: [], not_checked: [] };
  const leave = (why: string) => {
    found.not_checked.push({ subject: view, why });
    return found;
  };
  if (!live.readable.has(view))
    return leave(
      `not there, or not readable by ${live.user}: connect as a member of ${live.rolePrefix}credits_auditor`,
    );
  await client.query(roomForSums);
  for (const [done, name] of names.entries()) {
    progress(`checking ${name}, ${done + 1} of ${names.length}`);
    const start = performance.now();
    try {
      const { rows, total } = await readBreaches(client, live, name);
      found.findings.push(...rows.slice(0, most - found.findings.length));
      const milliseconds = Math.round(performance.now() - start);
      found.checks.push({ name, rows: total, milliseconds });
    } catch (error) {
      if (isLostConnection(error) || codeOf(error) === undefined) throw error;
      return leave(explain(error));
    }
  }
  const more = found.checks.reduce((sum, { rows }) => sum + rows, 0) - found.findings.length;
  if (more > 0) found.findings.push(finding('more', view, '', `${more} more rows`));
  return found;
}

/** From the check itself, where the user may read it: it is planned faster than the union of all. */
async function readBreaches(client: pg.ClientBase, { readable }: Live, name: string) {
  const check = `credits_private.check_${name}`;
  const source = readable.has(check) ? check : `${view} where invariant = '${name}'`;
  const { rows } = await client.query(
    `select '${name}' as check, account_id, coalesce(subject, '') as subject,
      coalesce(expected, 'none') as expected, coalesce(actual, 'none') as actual,
      pg_catalog.count(*) over () as total
    from ${source} order by account_id, subject limit ${most}`,
  );
  const total = Number(rows[0]?.total ?? 0);
  return { rows: rows.map(({ total: _, ...row }): Finding => row), total };
}
