import type pg from 'pg';
import { migrationName, type Package, rolesFile, type SqlFile } from '../package.ts';
import type { LockMode } from '../postgres/locks.ts';
import { type Ground, ident, type Roles } from '../postgres/roles.ts';
import * as schemas from '../postgres/schemas.ts';
import * as bookkeeping from './bookkeeping.ts';
import type { Ours } from './ours.ts';
import { planFiles } from './plan.ts';
import { revokeAll } from './privileges.ts';

/** One step of a deploy. A deploy runs the same list of steps that `--sql` prints. */
export type Step =
  | { kind: 'statements'; title: string; sql: string }
  /** Callers wait from here on. */
  | { kind: 'lock'; mode: LockMode }
  /** While migrations run, no trigger fires and nobody else changes a table. */
  | { kind: 'triggers off'; sql: string }
  | { kind: 'migrations'; files: SqlFile[] }
  | { kind: 'file'; file: SqlFile }
  | { kind: 'privileges'; sql: string };

export interface Situation {
  client: pg.ClientBase;
  pkg: Package;
  ground: Ground;
  prefix: string;
  allow: string[];
  reapply: boolean;
  roles: Roles;
  found: schemas.Schemas;
  /** Undefined for an empty database. */
  surveyed: Ours | undefined;
}

export interface Planned extends bookkeeping.Plan {
  steps: Step[];
  owner: string;
  created: string[];
  transferred: boolean;
  upToDate: boolean;
  /** The deploy writes something, if only in the bookkeeping. */
  writes: boolean;
}

/** Every step that follows the creation of roles, in order; changes nothing itself. */
export async function planSteps(situation: Situation): Promise<Planned> {
  const { client, pkg, ground, roles, found, surveyed, allow, prefix } = situation;
  const adopted = surveyed?.adopted ?? [];
  const recorded = surveyed?.applied ?? bookkeeping.nothingApplied;
  const migrations = [...recorded.migrations, ...adopted.map(migrationName)];
  const applied = { ...recorded, migrations };
  const differs = surveyed?.differences.some(({ cure }) => cure === 'deploy') ?? false;
  const created = schemas.schemaNames.filter((name) => !found.owners.has(name));
  const owner = await schemas.actingOwner(client, ground, roles, [...found.owners.values()]);
  const owners = new Set([...found.owners.values(), ...foreignOwners(surveyed)]);
  owners.delete(owner);
  const transferred = owners.size > 0 && schemas.mayTakeOver(ground, [...owners]);
  const everything =
    situation.reapply || transferred || created.length > 0 || differs || adopted.length > 0;
  const planned = planFiles(pkg, applied, roles, everything);
  const changes = planned.migrations.length + planned.files.length > 0;

  const steps: Step[] = [];
  const add = (title: string, ...statements: string[]) => {
    const sql = statements.filter((text) => text !== '').join('\n');
    if (sql !== '') steps.push({ kind: 'statements', title, sql });
  };
  const mode: LockMode = planned.migrations.length > 0 ? 'access exclusive' : 'exclusive';
  const lock = found.inUse && changes ? [{ kind: 'lock', mode } as const] : [];
  add(
    'the schemas',
    ...created.map((name) => `create schema ${ident(name)} authorization ${ident(owner)};`),
  );
  if (transferred) {
    steps.push(...lock);
    add('what belonged to others', ...(await schemas.transferStatements(client, found, owner)));
  }
  if (owner !== ground.user) add(asOwner, `set local role ${ident(owner)};`);
  if (created.includes('credits_private'))
    add('the tables that record deploys', bookkeeping.createBookkeeping);
  if (!transferred) steps.push(...lock);
  if (adopted.length > 0)
    add('migrations whose tables already exist', bookkeeping.recordMigrations(adopted));
  const migrates = found.inUse && planned.migrations.length > 0;
  const kept = migrates ? await readTriggers(client) : [];
  if (migrates)
    steps.push({
      kind: 'triggers off',
      sql: [await lockOfTables(client), ...kept.map(({ off }) => off), refuseTriggers].join('\n'),
    });
  if (planned.migrations.length > 0) steps.push({ kind: 'migrations', files: planned.migrations });
  const [roleFile] = planned.files.filter(({ path }) => path === rolesFile);
  for (const file of planned.files) if (file !== roleFile) steps.push({ kind: 'file', file });
  if (changes) steps.push({ kind: 'privileges', sql: revokeAll(allow) });
  if (roleFile) steps.push({ kind: 'file', file: roleFile });
  add(
    'triggers that are allowed',
    ...kept.filter(({ name }) => allow.includes(name)).map(({ on }) => on),
  );
  add('what was applied', bookkeeping.recordPlan(pkg, applied, prefix, planned, adopted));
  const upToDate =
    !changes && roles.statements.length === 0 && created.length === 0 && !transferred;
  const writes = !upToDate || steps.some((step) => !('title' in step) || step.title !== asOwner);
  return { ...planned, steps, owner, created, transferred, upToDate, writes };
}

const asOwner = 'as the owner';

const foreignOwners = (surveyed: Ours | undefined) =>
  (surveyed?.differences ?? []).flatMap(({ key, is }) =>
    key.startsWith('owner of ') && is !== undefined ? [is] : [],
  );

/** While a table is locked in this mode, nobody can create a trigger on it. */
async function lockOfTables(client: pg.ClientBase) {
  const { rows } = await client.query(`
    select pg_catalog.string_agg(c.oid::pg_catalog.regclass::text, ', ' order by c.relname) as list
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('credits', 'credits_private') and c.relkind = 'r'`);
  return `lock table ${rows[0].list} in share row exclusive mode;`;
}

const triggersThatAreOn = `
  from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('credits', 'credits_private') and c.relkind in ('r', 'p')
    and not t.tgisinternal and t.tgenabled <> 'D'`;

/** Every enabled trigger, with the statements that disable and enable it. */
async function readTriggers(client: pg.ClientBase) {
  const { rows } = await client.query(`
    select t.tgname as name, t.tgrelid::pg_catalog.regclass::text as relation,
      case t.tgenabled when 'A' then 'always ' when 'R' then 'replica ' else '' end as mode
    ${triggersThatAreOn}
    order by relation, name`);
  return rows.map(({ name, relation, mode }) => ({
    name,
    off: `alter table ${relation} disable trigger ${ident(name)};`,
    on: `alter table ${relation} enable ${mode}trigger ${ident(name)};`,
  }));
}

/** Runs under the locks: a trigger created after planning is still enabled, and is refused. */
const refuseTriggers = `do $triggers$
declare
  v_trigger text := (
    select pg_catalog.string_agg(pg_catalog.format('%I on %s', t.tgname, t.tgrelid::pg_catalog.regclass), ', ')
    ${triggersThatAreOn});
begin
  if v_trigger is not null then
    raise exception 'trigger % was made while deploying: it was not run, nothing was changed', v_trigger;
  end if;
end $triggers$;`;
