import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Database } from '../support/database.ts';

/**
 * A session of an app's own role, which logs in and is a member of one of ours, or of none. Not
 * `set role`: whoever logged in as a superuser can always go back. It ends with the database.
 */
export async function login(db: Database, memberOf?: string): Promise<pg.Client> {
  const name = `${db.rolePrefix}app_${randomBytes(4).toString('hex')}`;
  await db.query(`create role ${name} login password 'p'`);
  if (memberOf) await db.query(`grant ${db.rolePrefix}${memberOf} to ${name}`);
  const url = new URL(db.url);
  url.username = name;
  url.password = 'p';
  const client = new pg.Client({ connectionString: url.href });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/**
 * What becomes of each statement, undone at once unless it is to stay: 'done', or the error's code.
 * Tried on the server, as the session's user: thousands of them would each be two round trips.
 */
export async function attempts(
  client: pg.Client,
  statements: string[],
  stay = false,
): Promise<string[]> {
  await client.query(`
    create or replace function pg_temp.attempt(p_statement text, p_stay boolean)
    returns text
    language plpgsql as $$
    begin
      execute p_statement;
      if not p_stay then
        raise exception using errcode = 'DONE0';
      end if;
      return 'done';
    exception
      when others then
        return case sqlstate when 'DONE0' then 'done' else sqlstate end;
    end
    $$`);
  const { rows } = await client.query(
    `select pg_temp.attempt(s.statement, $2) as code
     from unnest($1::text[]) with ordinality as s (statement, n) order by s.n`,
    [statements, stay],
  );
  return rows.map(({ code }) => code);
}
