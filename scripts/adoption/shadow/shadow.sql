-- What the trigger on the app's table of transactions calls. The trigger's own function is generated
-- from the mapping (shadow.ts); it reads the old and the new row as the mapping says, hands them on,
-- and catches whatever is raised here: the app's write goes on.

-- What one change adds to one account. An insert is the transaction itself. All that comes after it
-- (an update, a delete, an insert again, as of a row that moves to another partition) is a
-- correction, with a key of its own: of two, the second finds the entry of the first.
create or replace function credits_adoption.book_change(
  p_account_id text, p_transaction jsonb, p_amount bigint, p_is_insert boolean
) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_id text := p_transaction ->> 'transaction_id';
  v_key text := 'legacy ' || v_id;
begin
  if p_is_insert and not credits_private.key_is_known(p_account_id, v_key) then
    perform credits_private.import_transaction(p_account_id, v_id, p_amount,
      (p_transaction ->> 'created_at')::timestamptz, (p_transaction ->> 'is_refund')::boolean,
      p_transaction ->> 'refunded_transaction_id', p_transaction ->> 'kind',
      p_transaction ->> 'api_key_id', p_transaction ->> 'operation', p_transaction ->> 'run_id',
      '{}');
  else
    perform credits_private.import_balance(p_account_id, p_amount, 'legacy correction',
      format('%s at entry %s', v_key, a.last_entry_id + 1),
      jsonb_build_object('legacy_transaction_id', v_id), null)
    from credits_private.accounts as a
    where a.account_id = p_account_id;
  end if;
end
$$;

revoke all on function
  credits_adoption.book_change(text, jsonb, bigint, boolean) from public;

-- A row without one of these is no transaction, whatever is wrong with it or with the mapping: what
-- it is worth is not known, which is not the same as nothing.
create or replace function credits_adoption.check_rows(p_change jsonb) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_missing text;
begin
  select string_agg(distinct c.name, ', ') into v_missing
  from (values (p_change -> 'old'), (p_change -> 'new')) as t (transaction)
  cross join unnest('{transaction_id,account_id,amount,created_at}'::text[]) as c (name)
  where jsonb_typeof(t.transaction) = 'object' and t.transaction ->> c.name is null;
  if v_missing is not null then
    raise exception 'the mapping reads no %: mend the mapping, or leave such rows out, with where',
      v_missing
    using errcode = 'null_value_not_allowed';
  end if;
end
$$;

revoke all on function credits_adoption.check_rows(jsonb) from public;

-- Books a change of the app's row, {"old": …, "new": …}, with every account of it that is adopted,
-- and returns how many those are. Each is locked before it is asked: adopt, which reads the app's
-- rows under that lock, either waits for this transaction and reads its row, or has not seen it.
-- Accounts in ascending order: of two changes with the same two, one waits, and both succeed.
create or replace function credits_adoption.mirror(
  p_change jsonb, p_transaction_xid xid8 = pg_current_xact_id()
) returns int
language plpgsql
set search_path = pg_temp
as $$
declare
  v_part record;
  v_booked int := 0;
begin
  for v_part in
    select
      t.transaction ->> 'account_id' as account_id,
      sum(t.sign * (t.transaction ->> 'amount')::bigint)::bigint as amount,
      bool_and(t.sign = 1) as is_insert,
      (array_agg(t.transaction order by t.sign desc))[1] as transaction
    from (values (-1, p_change -> 'old'), (1, p_change -> 'new')) as t (sign, transaction)
    -- Of an insert there is no old row, of a delete no new one, and none that where leaves out.
    where t.transaction ->> 'account_id' is not null
    group by t.transaction ->> 'account_id'
    having sum(t.sign * (t.transaction ->> 'amount')::bigint) <> 0
    order by t.transaction ->> 'account_id'
  loop
    perform from credits_private.accounts as a
    where a.account_id = v_part.account_id
    for no key update;
    if not found then
      perform credits_private.begin_import(v_part.account_id);
    end if;
    if exists (
      select from credits_adoption.accounts as a
      where a.account_id = v_part.account_id
        and not pg_visible_in_snapshot(p_transaction_xid, a.snapshot))
    then
      perform credits_adoption.book_change(
        v_part.account_id, v_part.transaction, v_part.amount, v_part.is_insert);
      insert into credits_adoption.mirrored as m (account_id, writes, last_at)
      values (v_part.account_id, 1, clock_timestamp())
      on conflict (account_id) do update
      set writes = m.writes + 1, last_at = excluded.last_at;
      v_booked := v_booked + 1;
    end if;
  end loop;
  return v_booked;
end
$$;

revoke all on function credits_adoption.mirror(jsonb, xid8) from public;

-- Whatever goes wrong here, too, is no reason to stop the app's write; only a second cancel is.
create or replace function credits_adoption.record_failure(
  p_change jsonb, p_error text, p_sqlstate text
) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_row jsonb := coalesce(nullif(p_change -> 'new', 'null'), p_change -> 'old');
begin
  insert into credits_adoption.failures (account_id, transaction_id, change, error, sqlstate)
  values (v_row ->> 'account_id', v_row ->> 'transaction_id', p_change, p_error, p_sqlstate);
exception when others or query_canceled then
  if sqlstate = '57014' and current_setting('pg_credits.canceled', true) = 'yes' then
    raise;
  elsif sqlstate = '57014' then
    perform set_config('pg_credits.canceled', 'yes', true);
  end if;
  raise warning 'pg-credits: a write was not mirrored (%), and that was not recorded: %',
    p_error, sqlerrm;
end
$$;

revoke all on function credits_adoption.record_failure(jsonb, text, text) from public;

create or replace function credits_adoption.note_truncate() returns trigger
language plpgsql security definer
set search_path = pg_temp
set lock_timeout = '100ms'
as $$
begin
  perform credits_adoption.record_failure(null, 'the table was truncated', 'truncated');
  return null;
end
$$;

revoke all on function credits_adoption.note_truncate() from public;

-- Tries a failure again, and forgets it if that is the end of it: adopt may have read the write, or
-- will, when the account is not adopted. Returns with how many accounts it was booked.
create or replace function credits_adoption.retry_failure(p_failure_id bigint, p_change jsonb)
returns int
language plpgsql
set search_path = pg_temp
as $$
declare
  v_failure credits_adoption.failures;
  v_booked int;
begin
  select f.* into v_failure
  from credits_adoption.failures as f
  where f.failure_id = p_failure_id
  for update;
  if not found then
    return 0;
  end if;
  perform credits_adoption.check_rows(p_change);
  v_booked := credits_adoption.mirror(p_change, v_failure.transaction_xid);
  delete from credits_adoption.failures as f
  where f.failure_id = p_failure_id;
  return v_booked;
end
$$;

revoke all on function credits_adoption.retry_failure(bigint, jsonb) from public;
