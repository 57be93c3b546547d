import type pg from 'pg';
import { type Difference, isNamed } from '../snapshot/differences.ts';
import type { Fact } from '../snapshot/snapshot.ts';

/** One thing that does not hold. */
export interface Finding {
  /** The invariant's name, or that of a check of the schema. */
  check: string;
  account_id: string | null;
  subject: string;
  expected: string;
  actual: string;
}

/** What could not be looked at, and why. */
export interface NotChecked {
  subject: string;
  why: string;
}

export const finding = (
  check: string,
  subject: string,
  expected: string,
  actual: string,
): Finding => ({
  check,
  account_id: null,
  subject,
  expected,
  actual,
});

// Where pg_temp is not named, a caller's temporary types come before all others: see sql/roles.sql.
const searchPath = 'pg_temp';

/** What must hold of any schema of ours, whatever a snapshot says. */
export function checkFacts(facts: Fact[], allow: string[] = []): Finding[] {
  return facts.flatMap(({ key, value }) => {
    if (allow.some((name) => isNamed(key, name))) return [];
    if (key.startsWith('trigger ') && !value.startsWith('enabled,'))
      return [finding('every_trigger_is_enabled', key, 'enabled', value.split(', ', 1)[0] ?? '')];
    if (key.startsWith('privilege PUBLIC on ') && !key.startsWith('privilege PUBLIC on type '))
      return [finding('only_granted_roles_can_call', key, 'nothing for PUBLIC', value)];
    if (/^(function|procedure) /.test(key) && !value.includes(`, set search_path=${searchPath},`))
      return [
        finding(
          'every_function_sets_search_path',
          key,
          `set search_path = ${searchPath}`,
          value.match(/, (set search_path=.*?), text /)?.[1] ?? 'not set',
        ),
      ];
    return [];
  });
}

/** Functions that run as their owner: a superuser would let every caller's mistake reach everything. */
export async function checkDefiners(client: pg.ClientBase): Promise<Finding[]> {
  const { rows } = await client.query(`
    select r.rolname as owner, pg_catalog.count(*)::int as functions
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    join pg_catalog.pg_roles r on r.oid = p.proowner
    where n.nspname in ('credits', 'credits_private') and p.prosecdef and r.rolsuper
    group by r.rolname order by r.rolname`);
  return rows.map(({ owner, functions }) =>
    finding(
      'no_function_runs_as_a_superuser',
      `${functions} security definer functions`,
      'owned by credits_owner',
      `owned by ${owner}, a superuser`,
    ),
  );
}

/** Differences in words; what `known` findings have said of a subject is not said again. */
export function describeDifferences(
  differences: Difference[],
  known: Finding[],
  version: string,
): Finding[] {
  const said = new Set(known.map(({ subject }) => subject));
  const findings: Finding[] = [];
  for (const { key, should, is, cure } of differences) {
    if (said.has(key) || cure === 'note') continue;
    const advice = cure === 'deploy' ? ': run pg-credits deploy' : '';
    if (is === undefined)
      findings.push(finding('schema', key, excerpt(should || 'present'), `missing${advice}`));
    else if (should === undefined && !key.startsWith('privilege '))
      findings.push(
        finding('schema', key, `not in pg-credits ${version}`, excerpt(is || 'present')),
      );
    else if (should === undefined)
      findings.push(finding('only_granted_roles_can_call', key, 'nothing', `${is}${advice}`));
    else if (cure === 'deploy' && !key.startsWith('privilege '))
      findings.push(
        finding('schema', key, `as in pg-credits ${version}`, `differs from it${advice}`),
      );
    else findings.push(finding('schema', key, ...apart(should, is)));
  }
  return findings;
}

const excerpt = (text: string, from = 0) => {
  const part = text.slice(from, from + 60).trim();
  return `${from > 0 ? '…' : ''}${part}${text.length > from + 60 ? '…' : ''}`;
};

/** Two long texts, each from a little before they part. */
function apart(a: string, b: string): [string, string] {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at += 1;
  const from =
    Math.max(a.length, b.length) <= 60 ? 0 : Math.max(0, a.lastIndexOf(' ', at - 10) + 1);
  return [excerpt(a, from), excerpt(b, from)];
}
