import type pg from 'pg';
import type { Mapping } from '../mapping/mapping.ts';
import { source } from '../mapping/sources.ts';

/** One row, as the mapping reads rows of the table. */
export const reading = (mapping: Mapping, row: string) => {
  const transactions = { ...mapping.transactions, table: `(${row})` };
  const from = source({ ...mapping, transactions }, 'transactions');
  return `(select to_jsonb(r) - 'position' from ${from} as r)`;
};

// After a wait that was in vain, this transaction waits no more: a thousand rows would wait a thousand times. A setting
// that any role can make is good enough: at worst a write is recorded, and booked by a retry. A row that cannot be
// read is recorded as it is, for a retry to read. A cancel (or a statement_timeout) that falls into our work costs the
// app nothing: its write goes on. But somebody wants an end, so nothing more is mirrored in this transaction, and the
// next cancel is not caught.
export const triggerBody = (mapping: Mapping) => `
#variable_conflict use_column
declare
  v_is_canceled bool := coalesce(current_setting('pg_credits.canceled', true) = 'yes', false);
  v_change jsonb := '{}';
  v_is_read bool := false;
  v_error text := 'not tried, as a cancel came before it in its transaction';
  v_sqlstate text := '57014';
  v_detail text;
begin
  begin
    if current_setting('pg_credits.waited', true) = 'yes' then
      perform set_config('lock_timeout', '1ms', true);
    end if;
    if tg_op <> 'INSERT' then
      v_change := v_change || jsonb_build_object('old', ${reading(mapping, 'select old.*')});
    end if;
    if tg_op <> 'DELETE' then
      v_change := v_change || jsonb_build_object('new', ${reading(mapping, 'select new.*')});
    end if;
    perform credits_adoption.check_rows(v_change);
    v_is_read := true;
    if not v_is_canceled then
      perform credits_adoption.mirror(v_change);
      return null;
    end if;
  exception when others or query_canceled then
    if sqlstate = '57014' and v_is_canceled then
      raise;
    elsif sqlstate = '57014' then
      perform set_config('pg_credits.canceled', 'yes', true);
    elsif sqlstate in ('55P03', '40P01') then
      perform set_config('pg_credits.waited', 'yes', true);
    end if;
    if not v_is_read then
      v_change := jsonb_build_object('unread', jsonb_build_object('old', to_jsonb(old), 'new', to_jsonb(new)));
    end if;
    get stacked diagnostics v_detail = pg_exception_detail;
    v_error := coalesce(substring(v_detail from '"argument": "(?:p_)?([a-z_]+)"') || ': ', '') || sqlerrm;
    v_sqlstate := sqlstate;
  end;
  perform credits_adoption.record_failure(v_change, v_error, v_sqlstate);
  return null;
end
`;

export interface ShadowState {
  /** Whether it mirrors, with this mapping. */
  on: boolean;
  /** Where its trigger is, if anywhere. */
  table: string | null;
  since: string | null;
  /** Why it is not on. */
  why: string | null;
}

/** A trigger that is there, enabled, and reads what the mapping says. */
export async function readShadow(client: pg.ClientBase, mapping: Mapping): Promise<ShadowState> {
  const found = await findTrigger(client, mapping.transactions.table);
  if (!found) return { on: false, table: null, since: null, why: 'it is not installed' };
  const { table, since } = found;
  const why = !found.here
    ? `it is on ${table}: run pg-credits shadow remove first`
    : !found.enabled
      ? `its trigger on ${table} is disabled: run pg-credits shadow install`
      : found.body !== triggerBody(mapping)
        ? 'it was installed with another mapping: run pg-credits shadow install'
        : null;
  return { on: why === null, table, since, why };
}

export async function findTrigger(client: pg.ClientBase, mapped?: string) {
  const { rows } = await client.query(
    `select pg_catalog.format('%I.%I', n.nspname, c.relname) as table, p.prosrc as body,
      t.tgenabled in ('O', 'A') as enabled, c.oid = pg_catalog.to_regclass($1) as here,
      pg_catalog.obj_description(t.oid, 'pg_trigger') as since
    from pg_catalog.pg_trigger as t
    join pg_catalog.pg_proc as p on p.oid = t.tgfoid
    join pg_catalog.pg_class as c on c.oid = t.tgrelid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    join pg_catalog.pg_namespace as f on f.oid = p.pronamespace
    where f.nspname = 'credits_adoption' and p.proname = 'shadow' and t.tgparentid = 0`,
    [mapped ?? null],
  );
  return rows[0];
}
