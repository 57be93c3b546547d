import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { revokeAll } from '../../deploy/privileges.ts';
import { become, ident } from '../../postgres/roles.ts';
import { runFile } from '../../postgres/script.ts';
import { codeOf, Failure } from '../../shell/explain.ts';
import { plural } from '../../shell/format.ts';
import { asOwner, hasAdoption, type Parties } from '../app/parties.ts';
import { ensureAdoption } from '../app/state.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { findTrigger, reading, readShadow, triggerBody } from './shadow.ts';

const trigger = '_900_pg_credits_shadow';
const literal = pg.escapeLiteral;

/** In the caller's transaction. Returns whether there was anything to do. */
export async function installShadow(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
): Promise<boolean> {
  const { table } = mapping.transactions;
  await ensureAdoption(client);
  const state = await readShadow(client, mapping);
  if (state.on) return false;
  const found = await findTrigger(client, table);
  if (found && !found.here) throw new Failure(`the shadow is not installed: ${state.why}`);
  await checkTable(client, table);
  await asOwner(client, parties, () => createFunctions(client, mapping, parties));
  await tryReading(client, mapping, parties);
  if (!found) await createTriggers(client, table, parties);
  else await client.query(`alter table ${found.table} enable trigger ${ident(trigger)}`);
  return true;
}

async function checkTable(client: pg.ClientBase, table: string) {
  const { rows } = await client.query(
    `select case c.relkind when 'v' then 'a view' when 'm' then 'a materialized view'
        when 'f' then 'a foreign table' end as other,
      pg_catalog.pg_get_userbyid(c.relowner) as owner, current_user as user,
      pg_catalog.pg_has_role(c.relowner, 'USAGE') as owned,
      array(
        select pg_catalog.format('%I.%I', n.nspname, h.relname)
        from pg_catalog.pg_inherits as i join pg_catalog.pg_class as h on h.oid = i.inhrelid
        join pg_catalog.pg_namespace as n on n.oid = h.relnamespace
        where i.inhparent = c.oid and not h.relispartition order by 1
      ) as heirs
    from pg_catalog.pg_class as c where c.oid = pg_catalog.to_regclass($1)`,
    [table],
  );
  const { other, owner, user, owned, heirs } = rows[0];
  if (other)
    throw new Failure(`${table} is ${other}: the shadow needs the table that is written to`);
  if (!owned)
    throw new Failure(
      `${table} belongs to ${owner}, and only its owner can install the shadow: connect as ${owner}, not as ${user}`,
      '42501',
    );
  // A trigger goes with partitions, but not with inheritance.
  if (heirs.length > 0)
    throw new Failure(
      `rows of ${table} are also in what inherits from it (${heirs.join(', ')}), where no write would be mirrored: declare partitions instead, or end the inheritance`,
    );
}

async function createFunctions(client: pg.ClientBase, mapping: Mapping, { patience }: Parties) {
  const path = fileURLToPath(new URL('shadow.sql', import.meta.url));
  await runFile(client, { path: 'shadow.sql', text: readFileSync(path, 'utf8') });
  await client.query(
    `create or replace function credits_adoption.shadow() returns trigger
    language plpgsql security definer
    set search_path = pg_temp set lock_timeout = '${patience}ms'
    as ${literal(triggerBody(mapping))}`,
  );
  await client.query(revokeAll([], ['credits_adoption']));
}

/** The trigger reads rows as the owner of the ledger: what the user may name, the owner may not be allowed to. */
async function tryReading(client: pg.ClientBase, mapping: Mapping, { user, owner }: Parties) {
  const probe = `#variable_conflict use_column
    declare
      new ${mapping.transactions.table};
    begin
      set local role ${ident(owner)};
      perform ${reading(mapping, 'select new.*')};
    end`;
  try {
    await client.query(`do ${literal(probe)}`);
  } catch (error) {
    const denied = codeOf(error) === '42501';
    throw new Failure(
      `the trigger cannot read the table: ${(error as Error).message}` +
        (denied ? `: it does so as ${owner}, who needs that privilege` : ''),
      codeOf(error),
      { cause: error },
    );
  }
  await become(client, user);
}

/** Share row exclusive: it waits for transactions that have written to the table, and they go on reading. */
async function createTriggers(client: pg.ClientBase, table: string, parties: Parties) {
  const functions = 'credits_adoption.shadow(), credits_adoption.note_truncate()';
  const lend = parties.user !== parties.owner;
  if (lend)
    await asOwner(client, parties, () =>
      client.query(
        `grant usage on schema credits_adoption to ${ident(parties.user)};
        grant execute on function ${functions} to ${ident(parties.user)}`,
      ),
    );
  const { rows } = await client.query(
    `select pg_catalog.to_char(pg_catalog.clock_timestamp(), 'YYYY-MM-DD HH24:MI:SS "UTC"') as now`,
  );
  await client.query(
    `create trigger ${ident(trigger)} after insert or update or delete on ${table}
      for each row execute function credits_adoption.shadow();
    create trigger ${ident(`${trigger}_truncate`)} after truncate on ${table}
      for each statement execute function credits_adoption.note_truncate();
    comment on trigger ${ident(trigger)} on ${table} is ${literal(rows[0].now)}`,
  );
  if (lend)
    await asOwner(client, parties, () =>
      client.query(
        `revoke all on schema credits_adoption from ${ident(parties.user)};
        revoke all on function ${functions} from ${ident(parties.user)}`,
      ),
    );
}

/** In the caller's transaction. Returns the table that has it no more, if there was one. */
export async function removeShadow(
  client: pg.ClientBase,
  parties: Parties,
): Promise<string | undefined> {
  const found = await findTrigger(client);
  if (found)
    await client.query(
      `drop trigger ${ident(trigger)} on ${found.table};
      drop trigger if exists ${ident(`${trigger}_truncate`)} on ${found.table}`,
    );
  await asOwner(client, parties, () =>
    client.query('drop function if exists credits_adoption.shadow()'),
  );
  return found?.table;
}

/** Drops all that an adoption remembers, in the caller's transaction: the app's tables can't be compared any more. */
export async function forget(client: pg.ClientBase, parties: Parties): Promise<boolean> {
  if (!(await hasAdoption(client))) return false;
  return asOwner(client, parties, async () => {
    const { rows } = await client.query('select count(*) as count from credits_adoption.failures');
    const { count } = rows[0];
    if (count !== '0')
      throw new Failure(
        `${plural(BigInt(count), 'write')} could not be mirrored: run pg-credits shadow retry first`,
      );
    await client.query('drop schema credits_adoption cascade');
    return true;
  });
}
