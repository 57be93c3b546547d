-- A ledger with a history, for what grows with it.

create schema if not exists bench;

-- The deductions of a long time, in the order in which they would have come: one account's are
-- spread over the whole table. Each is a copy of a real one, with another number, key and balance, so
-- this file names no other column. Triggers are off (which takes a superuser), so every figure that
-- they keep is set here; credits.discrepancies shows whether that was right.
create procedure bench.load_entries(p_accounts int, p_entries int)
language plpgsql
set session_replication_role = replica
as $$
declare
  v_entry credits_private.entries;
  v_at timestamptz := clock_timestamp();
begin
  select e.* into strict v_entry
  from credits_private.entries as e where e.account_id = 'acct-1' and e.kind = 'deduction';

  insert into credits_private.entries
  select e.*
  from generate_series(p_accounts * 2, p_entries - 1) as n,
    jsonb_populate_record(v_entry, jsonb_build_object(
      'account_id', 'acct-' || 1 + n % p_accounts,
      'entry_id', n / p_accounts + 1, 'transaction_id', n / p_accounts + 1,
      'balance_after', v_entry.balance_after - n / p_accounts + 1,
      'effective_at', v_at, 'created_at', v_at,
      'idempotency_key', md5(n::text))) as e;

  create temporary table last_entries on commit drop as
  select e.account_id, max(e.entry_id) as entry_id, min(e.balance_after) as balance,
    count(*) filter (where e.kind = 'deduction') as calls
  from credits_private.entries as e
  group by e.account_id;

  update credits_private.accounts as a
  set balance = l.balance, last_entry_id = l.entry_id, last_effective_at = v_at,
    last_created_at = v_at
  from last_entries as l where l.account_id = a.account_id and l.entry_id > v_entry.entry_id;
  update credits_private.grants as g
  set remaining = l.balance, last_entry_id = l.entry_id
  from last_entries as l where l.account_id = g.account_id;
  update credits_private.usage_counters as u
  set credits_used = l.calls, calls = l.calls, last_entry_id = l.entry_id
  from last_entries as l where l.account_id = u.account_id;
end
$$;

-- A minute per grant: one is spent, one expires, and so on. Only the last is open. The functions
-- themselves make them, as the time can be passed to them.
create procedure bench.load_grants(p_accounts int, p_grants int)
language plpgsql
as $$
declare
  v_at timestamptz;
  v_account_id text;
  v_expires boolean;
begin
  for v_a in 1 .. p_accounts loop
    v_account_id := 'acct-' || v_a;
    v_at := clock_timestamp() - p_grants * interval '1 minute';
    for v_g in 2 .. p_grants loop
      v_expires := v_g % 2 = 0;
      perform credits_private.grant_credits_at(v_account_id, 10, 'grant ' || v_g, 'plan', 100,
        case when v_expires then v_at + interval '30 seconds' end, null, null, null, null, '{}',
        v_at);
      if not v_expires then
        perform credits_private.deduct_credits_at(v_account_id, 10, 'call ' || v_g, 'key_live_1',
          '/execute', null, '{}', v_at + interval '1 second');
      end if;
      v_at := v_at + interval '1 minute';
      -- Versions of a row can only be pruned once their transaction has ended.
      if v_g % 50 = 0 then
        commit;
      end if;
    end loop;
    perform credits.grant_credits(v_account_id, 1000000000, 'grant');
    perform credits.deduct_credits(v_account_id, 1, 'first', p_api_key_id => 'key_live_1',
      p_operation => '/execute');
    commit;
  end loop;
end
$$;

-- Spreads an account's entries evenly over the months before this one, in their order. Only the
-- entries change, so the counters no longer agree with them: for questions about reading.
create procedure bench.spread_over_months(p_account_id text, p_months int)
language plpgsql
set session_replication_role = replica
as $$
declare
  v_last_id bigint;
  v_last timestamptz := clock_timestamp();
begin
  select max(e.entry_id) into v_last_id
  from credits_private.entries as e where e.account_id = p_account_id;
  update credits_private.entries as e
  set effective_at = m.at, created_at = m.at, period = date_trunc('month', m.at)::date
  from generate_series(0, p_months) as n
  cross join lateral (select v_last - n * interval '1 month' as at) as m
  where e.account_id = p_account_id
    and n = p_months - (e.entry_id * p_months) / v_last_id;
end
$$;
