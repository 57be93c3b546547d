// What a role without any right can put in the way of names that a function of ours uses.

/** Every function and operator of Postgres on the types that ours use, once more; each raises. */
export const shadows = `
  create schema evil;
  grant all on schema evil, public to public;
  create function evil.run() returns boolean language plpgsql
  set search_path = pg_catalog, pg_temp as $$ begin
    raise exception using errcode = 'EVIL0', message = current_user;
  end $$;
  do $do$ declare v record; begin
    for v in
      select proname as name, pg_get_function_identity_arguments(p.oid) as arguments,
        format_type(prorettype, null) as result
      from pg_proc as p
      join pg_type as t on t.oid = p.prorettype
      where pronamespace = 'pg_catalog'::regnamespace and prokind = 'f' and not proretset
        and provariadic = 0 and typtype <> 'p' and proargtypes::oid[] <@ array[
          'bigint', 'bytea', 'boolean', 'date', 'int', 'interval', 'jsonb', 'numeric', 'text',
          'timestamp', 'timestamptz']::regtype[]::oid[]
    loop
      execute format('create function evil.%I(%s) returns %s language plpgsql
        as ''begin perform evil.run(); end''', v.name, v.arguments, v.result);
    end loop;
    for v in
      select oprname as name, oprleft::regtype as l, oprright::regtype as r, e.proname as function
      from pg_operator as o
      join pg_proc as f on f.oid = oprcode
      join pg_proc as e on e.pronamespace = 'evil'::regnamespace and e.proname = f.proname
        and e.proargtypes = f.proargtypes
      where oprnamespace = 'pg_catalog'::regnamespace and oprkind = 'b'
    loop
      execute format('create operator evil.%s (leftarg = %s, rightarg = %s, function = evil.%I)',
        v.name, v.l, v.r, v.function);
    end loop;
  end $do$;
  create function public.deduct_credits(text, int, text) returns int language sql
    as 'select 1 where evil.run()';
  create function evil.deduct_credits(text, bigint, text) returns int language sql
    as 'select 1 where evil.run()'`;

/** Temporary tables and types, which Postgres looks for before all others unless a path names them. */
export const temporaries = `
  do $do$ declare v record; begin
    for v in
      select distinct relname as name from pg_catalog.pg_class
      where relnamespace::regnamespace::text in ('credits', 'credits_private')
          and relkind in ('r', 'v')
        or oid in ('pg_class'::regclass, 'pg_type'::regclass, 'pg_timezone_names'::regclass)
    loop
      execute format('create temp table %I (account_id pg_catalog.text)', v.name);
    end loop;
    for v in
      select typname as name from pg_catalog.pg_type
      where typnamespace = 'pg_catalog'::regnamespace and typtype = 'b' and typelem = 0
    loop
      execute format('create domain pg_temp.%I as pg_catalog.%1$I check (evil.run())', v.name);
    end loop;
    create type pg_temp.record as (evil pg_catalog.int4);
  end $do$`;
