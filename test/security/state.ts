import type pg from 'pg';
import type { Database } from '../support/database.ts';
import { tablesOf } from '../support/ledger.ts';

const time = String.raw`\d{4}-\d\d-\d\d[T ][\d:.]+(Z|[+-][\d:]+)?`;

/** A value as a text, but for moments, which no two calls share. */
export const masked = (value: unknown): string =>
  JSON.stringify(value).replace(new RegExp(time, 'g'), '<time>');

/**
 * What any session may ask for, within its own transaction too, and whatever it has set: every row
 * that we keep, but for moments.
 */
export async function createStateFunction(db: Database): Promise<void> {
  const rows = (await tablesOf(db, true)).map(
    (name) => `select '${name}: ' || to_jsonb(t)::text as row from ${name} as t`,
  );
  await db.query(`
    create function public.state() returns setof text
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'iso_8601'
    set bytea_output = 'hex' set extra_float_digits = 1
    set standard_conforming_strings = on set row_security = off as $$
    begin
      return query select t.row from (
        select regexp_replace(s.row, '${time}', '<time>', 'g') as row
        from (${rows.join(' union all ')}) as s
      ) as t order by t.row collate "C";
    end $$`);
}

export async function stateOf(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query('select public.state() as row');
  return rows.map(({ row }) => row);
}
