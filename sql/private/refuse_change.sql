-- What every guard says.
create or replace function credits_private.refuse_by_hand(
  p_invariant text, p_table text, p_change text
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.raise_error('23514', 'a change by hand is refused',
    jsonb_build_object('table', p_table, 'change', lower(p_change)),
    'The ledger is written by the functions of the schema credits. To correct a mistake, book the '
      'opposite: grant, deduct or refund.',
    p_invariant);
end
$$;

revoke all on function credits_private.refuse_by_hand(text, text, text) from public;

-- What a guard runs. Guards stop mistakes, of the tables' owner too; privileges stop callers. The
-- arguments of the trigger are the promise that it guards and the table (tg_table_name is the name
-- of a shard on a distributed table).
--
-- A guard's columns and WHEN clause decide, and the function runs only to refuse: guards that ran a
-- function for each update cost a deduction 9 to 18 % of its throughput. The clauses are short, as
-- Postgres copies all of a table's, and parses those that apply, for each statement.
create or replace function credits_private.refuse_change() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.refuse_by_hand(tg_argv[0], tg_argv[1], tg_op);
  return null;
end
$$;

revoke all on function credits_private.refuse_change() from public;

-- The guard of an account's last_entry_id: it goes on by one, or by as many entries as one statement
-- wrote.
create or replace function credits_private.refuse_unless_written() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  perform
  from credits_private.entries_between(
    new.account_id, old.last_entry_id + 1, old.last_entry_id + 1) as e
  where e.statement_entries = new.last_entry_id - old.last_entry_id;
  if not found then
    perform credits_private.refuse_by_hand(tg_argv[0], tg_argv[1], tg_op);
  end if;
  return null;
end
$$;

revoke all on function credits_private.refuse_unless_written() from public;

-- The guard of the columns that can name a person. A pseudonym may replace an id (null and '' are
-- none), and nothing may replace metadata: what forget_account does, and no more.
create or replace function credits_private.refuse_unless_forgotten() returns trigger
language plpgsql
set search_path = pg_temp
as $$
declare
  v_old jsonb := to_jsonb(old);
  v_column text;
  v_value text;
begin
  for v_column, v_value in
    select c.key, c.value
    from jsonb_each_text(to_jsonb(new)) as c
    where c.key in ('api_key_id', 'run_id', 'scope_id', 'metadata')
      and c.value is distinct from v_old ->> c.key
  loop
    if (case v_column
      when 'metadata' then v_value = '{}' or v_value is null
      else v_old ->> v_column <> '' and v_value like 'forgotten %'
    end) is not true then
      perform credits_private.raise_error('23514', 'a change by hand is refused',
        jsonb_build_object('table', tg_argv[1], 'change', lower(tg_op), 'column', v_column),
        'To erase a person, call forget_account. To correct a mistake, book the opposite: grant, '
          'deduct or refund.',
        tg_argv[0]);
    end if;
  end loop;
  return new;
end
$$;

revoke all on function credits_private.refuse_unless_forgotten() from public;
