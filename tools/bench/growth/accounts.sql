-- Accounts with much around them, for the questions of growth.

create schema if not exists bench;

-- Copies everything that an account has to p_accounts others, whose names begin with p_prefix. It
-- names no column of any table but account_id. Triggers are off, which takes a superuser: they have
-- seen the original.
create procedure bench.copy_account(p_account_id text, p_prefix text, p_accounts int)
language plpgsql
set session_replication_role = replica
as $$
declare
  v_table regclass;
begin
  for v_table in
    select a.attrelid::regclass
    from pg_attribute as a
    join pg_class as c on c.oid = a.attrelid
    where c.relnamespace = 'credits_private'::regnamespace and c.relkind = 'r'
      and a.attname = 'account_id' and not a.attisdropped
  loop
    execute format(
      'insert into %1$s
       select r.*
       from %1$s as t
       cross join generate_series(1, $3) as n
       cross join lateral jsonb_populate_record(
         t, jsonb_build_object(''account_id'', $2 || n)) as r
       where t.account_id = $1', v_table)
    using p_account_id, p_prefix, p_accounts;
  end loop;
end
$$;

-- Versions of a row can only be pruned once their transaction has ended, so these commit now and
-- then.

create procedure bench.hold(p_account_id text, p_holds int, p_at timestamptz)
language plpgsql
as $$
begin
  for v_n in 1 .. p_holds loop
    perform credits_private.hold_credits_at(p_account_id => p_account_id, p_amount => 1,
      p_idempotency_key => 'hold ' || v_n, p_expires_in => interval '1 hour',
      p_api_key_id => 'key_live_1', p_operation => '/execute', p_run_id => 'run ' || v_n,
      p_metadata => '{}', p_at => p_at);
    if v_n % 50 = 0 then
      commit;
    end if;
  end loop;
end
$$;

create procedure bench.give(
  p_account_id text, p_grants int, p_at timestamptz, p_effective_at timestamptz,
  p_expires_at timestamptz
)
language plpgsql
as $$
begin
  for v_n in 1 .. p_grants loop
    perform credits_private.grant_credits_at(p_account_id => p_account_id, p_amount => 10,
      p_idempotency_key => 'given ' || v_n, p_source => 'plan', p_priority => 100,
      p_expires_at => p_expires_at, p_effective_at => p_effective_at, p_operations => null,
      p_paid_amount => null, p_paid_currency => null, p_metadata => '{}', p_expires_in => null,
      p_at => p_at);
    if v_n % 50 = 0 then
      commit;
    end if;
  end loop;
end
$$;
