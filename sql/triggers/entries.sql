-- The ledger's own trigger: it applies an entry to the balance, its grant, the usage counters and
-- the limits, in the same statement as the entry. Nothing else changes a figure. What depends on
-- the entry alone is decided outside of the SQL statements: PL/pgSQL prepares an expression of its
-- own once per transaction, but one inside a statement at each run.
--
-- An entry's amount moves the balance, together with either a grant or the debt
-- (balance_equals_grants_less_debt), and the counters (usage_equals_ledger). Each balance follows
-- from the one before, and no period runs back, so an invoice leads from its opening to its closing
-- balance (invoice_equals_balance_delta). An invoice and its lines are sums of the same entries,
-- which never change (invoice_lines_sum_to_invoice).
--
-- It is one function, and a long one, because every deduction runs it: the update of the usage
-- counter in a function of its own would add 26 thousand instructions, 2 % of a deduction.
create or replace function credits_private.apply_entry() returns trigger
language plpgsql
set search_path = pg_temp
as $$
declare
  v_is_use boolean := true;
  v_calls int := 1;
  v_head_grant_id bigint;
  v_has_limits boolean;
begin
  -- Nearly every entry is a deduction's only one, which needs no call to be recognised.
  if (new.kind = 'deduction' and new.amount < 0 and new.entry_count = 1
    and new.transaction_id = new.entry_id and new.effective_at = new.created_at
    and new.refunded_entry_id is null and new.statement_entries is null) is not true
  then
    if new.statement_entries is not null then
      if new.statement_entries <> 0 then
        perform case when new.kind = 'deduction'
          then credits_private.apply_statement(new.account_id, new.entry_id)
          else credits_private.apply_settlement(new.account_id, new.entry_id) end;
        return null;
      end if;
      -- The statement's first entry has applied this one, which is number 2 at least.
      perform from credits_private.accounts as a
      where a.account_id = new.account_id and a.last_entry_id >= new.entry_id;
      if not found or new.entry_id < 2 then
        perform credits_private.raise_refused_entry(new.account_id, new.entry_id);
      end if;
      return null;
    end if;
    if (new.effective_at <= new.created_at
      and new.entry_id - new.transaction_id between 0 and new.entry_count - 1
      and credits_private.is_entry(new.kind, new.amount, new.grant_id, new.hold_id, new.is_first,
        new.revoked_grant_id, new.refunded_entry_id)) is not true
    then
      perform credits_private.raise_refused_entry(new.account_id, new.entry_id);
    end if;
    v_is_use := new.kind in ('deduction', 'capture');
    v_calls := case when new.entry_id = new.transaction_id
      and (new.kind = 'deduction' or new.is_first) then 1 else 0 end;
  end if;

  -- The conditions are the promises that two rows can show. If one is broken, no row is updated,
  -- and raise_refused_entry says which one. While a head is up, only what is plain is taken: it
  -- draws on the head alone, and leaves some of it.
  update credits_private.accounts as a
  set
    balance = new.balance_after,
    debt = case when new.grant_id is null then a.debt - new.amount else a.debt end,
    last_entry_id = new.entry_id,
    last_effective_at = new.effective_at,
    last_created_at = new.created_at
  where a.account_id = new.account_id
    and a.last_entry_id = new.entry_id - 1
    and a.balance = new.balance_after - new.amount
    and a.last_effective_at <= new.effective_at
    and a.last_created_at <= new.created_at
    and a.period <= new.period
    and (a.head_grant_id is null or v_is_use and a.head_grant_id = new.grant_id
      and a.plain_above < new.balance_after and a.due_at > new.effective_at)
  returning a.head_grant_id, a.has_limits into v_head_grant_id, v_has_limits;
  if not found then
    perform credits_private.raise_refused_entry(new.account_id, new.entry_id);
  end if;

  if v_head_grant_id is not null then
    null; -- the balance says what remains of the head
  elsif new.grant_id is not null then
    update credits_private.grants as g
    set
      remaining = g.remaining + new.amount,
      is_open = g.remaining + new.amount > 0,
      taken = g.taken - case when new.revoked_grant_id = g.grant_id then new.amount else 0 end,
      last_entry_id = new.entry_id
    where g.account_id = new.account_id
      and g.grant_id = new.grant_id
      and (new.kind in ('capture', 'revocation')
        or (new.kind = 'expiry') = coalesce(g.expires_at <= new.effective_at, false));
    if not found then
      perform credits_private.raise_refused_entry(new.account_id, new.entry_id);
    end if;
  else
    perform credits_private.check_debt(new.account_id, new.entry_id, new.kind);
  end if;

  if v_is_use then
    -- The first call of a period for an API key and an operation finds no counter yet.
    loop
      update credits_private.usage_counters as u
      set credits_used = u.credits_used - new.amount, calls = u.calls + v_calls,
        last_entry_id = new.entry_id
      where u.account_id = new.account_id
        and u.period = new.period
        and u.api_key_id = coalesce(new.api_key_id, '')
        and u.operation = coalesce(new.operation, '')
        and u.credits_used <= credits_private.max_amount() + new.amount;
      exit when found;
      perform credits_private.insert_usage_counter(
        new.account_id, new.period, new.api_key_id, new.operation);
    end loop;
    if v_has_limits then
      -- (An assignment costs half of what a perform does.)
      v_has_limits := credits_private.apply_limits(new.account_id, new.entry_id, new.kind,
        new.amount, new.period, new.effective_at, new.api_key_id, new.operation, new.run_id,
        new.refunded_entry_id);
    end if;
    return null;
  end if;
  declare
    v_entry credits_private.entry := new;
  begin
    perform credits_private.apply_rest(v_entry, v_has_limits);
  end;
  return null;
end
$$;

-- What refunds and revocations change besides: counters, limits, and what was taken back of a
-- grant.
create or replace function credits_private.apply_rest(
  p_entry credits_private.entry, p_has_limits boolean
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_entry.kind = 'refund' then
    loop
      update credits_private.usage_counters as u
      set credits_refunded = u.credits_refunded + p_entry.amount, last_entry_id = p_entry.entry_id
      where u.account_id = p_entry.account_id
        and u.period = p_entry.period
        and u.api_key_id = coalesce(p_entry.api_key_id, '')
        and u.operation = coalesce(p_entry.operation, '');
      exit when found;
      perform credits_private.insert_usage_counter(
        p_entry.account_id, p_entry.period, p_entry.api_key_id, p_entry.operation);
    end loop;
  end if;
  if p_has_limits and p_entry.kind = 'refund' then
    perform credits_private.apply_limits(p_entry.account_id, p_entry.entry_id, p_entry.kind,
      p_entry.amount, p_entry.period, p_entry.effective_at, p_entry.api_key_id, p_entry.operation,
      p_entry.run_id, p_entry.refunded_entry_id);
  elsif p_entry.kind = 'revocation' and p_entry.grant_id is distinct from p_entry.revoked_grant_id
  then
    -- Taken from a re-grant, or booked as debt.
    update credits_private.grants as g
    set taken = g.taken - p_entry.amount, last_entry_id = p_entry.entry_id
    where g.account_id = p_entry.account_id and g.grant_id = p_entry.revoked_grant_id;
  end if;
end
$$;

-- Some of an account's entries, in order. The `order by` makes Postgres read them by the primary
-- key: of an account that has grown since the last analyze it expects few entries, and without an
-- order it could take any index that begins with the account, and read all of it.
create or replace function credits_private.entries_between(
  p_account_id text, p_first_id bigint, p_last_id bigint
) returns setof credits_private.entry
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return query
  select e.*
  from credits_private.entries as e
  where e.account_id = p_account_id and e.entry_id between p_first_id and p_last_id
  order by e.entry_id;
end
$$;

-- Does the same for the entries that one statement wrote: what a batch deducts from an account. The
-- first entry applies all of them, and changes each figure once. While a head is up, all of them
-- must be plain deductions on it.
create or replace function credits_private.apply_statement(p_account_id text, p_entry_id bigint)
returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_first credits_private.entry;
  v_last_id bigint;
  v_sum record;
  v_account record;
begin
  select e.* into v_first
  from credits_private.entries as e
  where e.account_id = p_account_id and e.entry_id = p_entry_id;
  v_last_id := p_entry_id + v_first.statement_entries - 1;

  select sum(e.amount) as amount,
    coalesce(sum(e.amount) filter (where e.grant_id is null), 0) as debt,
    max(e.entry_id) filter (where e.grant_id is null) as debt_entry_id,
    case when bool_and(e.grant_id is not distinct from v_first.grant_id)
      then v_first.grant_id end as only_grant_id,
    count(*) filter (where e.kind = 'deduction' and e.amount < 0 and e.refunded_entry_id is null
      and e.entry_id - e.transaction_id between 0 and e.entry_count - 1
      and (e.entry_id = p_entry_id) = (e.statement_entries > 0)
      and e.balance_after - e.upto = v_first.balance_after - v_first.amount
      and e.period = v_first.period and e.effective_at = v_first.effective_at
      and e.created_at = v_first.effective_at) as entries
  into v_sum
  from (
    select e.*, sum(e.amount) over (order by e.entry_id) as upto
    from credits_private.entries_between(p_account_id, p_entry_id, v_last_id) as e
  ) as e;

  update credits_private.accounts as a
  set
    balance = a.balance + v_sum.amount,
    debt = a.debt - v_sum.debt,
    last_entry_id = v_last_id,
    last_effective_at = v_first.effective_at,
    last_created_at = v_first.created_at
  where a.account_id = p_account_id
    and v_sum.entries = v_first.statement_entries
    and a.last_entry_id = p_entry_id - 1
    and a.balance + v_first.amount = v_first.balance_after
    and a.last_effective_at <= v_first.effective_at
    and a.last_created_at <= v_first.created_at
    and a.period <= v_first.period
    and (a.head_grant_id is null
      or a.head_grant_id = v_sum.only_grant_id and a.balance + v_sum.amount > a.plain_above)
  returning a.has_limits, a.head_grant_id into v_account;
  if not found then
    perform credits_private.raise_refused_entry(p_account_id, p_entry_id);
  end if;

  if v_account.head_grant_id is null then
    perform credits_private.draw_statement(p_account_id, p_entry_id, v_last_id,
      v_first.effective_at);
  end if;
  if v_sum.debt_entry_id is not null then
    perform credits_private.check_debt(p_account_id, v_sum.debt_entry_id, 'deduction');
  end if;
  perform credits_private.count_statement(p_account_id, p_entry_id, v_last_id);
  if v_account.has_limits then
    perform credits_private.count_limits_of_statement(p_account_id, p_entry_id, v_last_id);
  end if;
end
$$;

-- Takes the amounts of such entries from their grants.
create or replace function credits_private.draw_statement(
  p_account_id text, p_first_id bigint, p_last_id bigint, p_effective_at timestamptz
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  update credits_private.grants as g
  set
    remaining = g.remaining + s.amount,
    is_open = g.remaining + s.amount > 0,
    last_entry_id = s.last_entry_id
  from (
    select e.grant_id, sum(e.amount)::bigint as amount, max(e.entry_id) as last_entry_id
    from credits_private.entries_between(p_account_id, p_first_id, p_last_id) as e
    group by e.grant_id
  ) as s
  where g.account_id = p_account_id and g.grant_id = s.grant_id
    and coalesce(g.expires_at > p_effective_at, true);
  perform credits_private.raise_refused_entry(e.account_id, e.entry_id)
  from credits_private.entries_between(p_account_id, p_first_id, p_last_id) as e
  where e.grant_id is not null and not exists (
    select from credits_private.grants as g
    where g.account_id = p_account_id and g.grant_id = e.grant_id
      and g.last_entry_id >= e.entry_id);
end
$$;

-- Counts the same entries under the account's limits. They share a period and a moment, so each
-- limit has one window for them.
create or replace function credits_private.count_limits_of_statement(
  p_account_id text, p_first_id bigint, p_last_id bigint
) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_limit_ids text[];
  v_window_starts timestamp[];
  v_scope_ids text[];
  v_amounts bigint[];
  v_last_ids bigint[];
  v_counted int;
begin
  select array_agg(s.limit_id), array_agg(s.window_start), array_agg(s.scope_id),
    array_agg(s.amount), array_agg(s.last_id)
  into v_limit_ids, v_window_starts, v_scope_ids, v_amounts, v_last_ids
  from (
    select l.limit_id, credits_private.limit_window_start(
        l.limit_window, e.period, e.effective_at, a.time_zone) as window_start,
      s.scope_id, sum(e.amount)::bigint as amount, max(e.entry_id) as last_id
    from credits_private.limits as l
    join credits_private.accounts as a on a.account_id = l.account_id
    cross join credits_private.entries_between(p_account_id, p_first_id, p_last_id) as e
    cross join lateral credits_private.limit_scope_id(l.scope, l.scope_id, l.pseudonyms,
      e.api_key_id, e.operation, e.run_id) as s (scope_id)
    where l.account_id = p_account_id and s.scope_id is not null
    group by l.limit_id, l.limit_window, e.period, e.effective_at, a.time_zone, s.scope_id
  ) as s;

  insert into credits_private.limit_counters (account_id, limit_id, window_start, scope_id)
  select p_account_id, s.limit_id, s.window_start, s.scope_id
  from unnest(v_limit_ids, v_window_starts, v_scope_ids) as s (limit_id, window_start, scope_id)
  on conflict do nothing;
  update credits_private.limit_counters as c
  set spent = c.spent - s.amount, last_entry_id = s.last_id
  from unnest(v_limit_ids, v_window_starts, v_scope_ids, v_amounts, v_last_ids)
    as s (limit_id, window_start, scope_id, amount, last_id),
    credits_private.limits as l
  where c.account_id = p_account_id and c.limit_id = s.limit_id
    and c.window_start = s.window_start and c.scope_id = s.scope_id
    and l.account_id = p_account_id and l.limit_id = s.limit_id
    and c.spent - s.amount <= l.ceiling + l.overage;
  get diagnostics v_counted = row_count;
  if v_counted <> coalesce(cardinality(v_limit_ids), 0) then
    perform credits_private.raise_refused_entry(p_account_id, p_last_id);
  end if;
end
$$;

-- A new counter starts at zero, and then changes like any other.
create or replace function credits_private.count_statement(
  p_account_id text, p_first_id bigint, p_last_id bigint
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.usage_counters (account_id, period, api_key_id, operation)
  select distinct e.account_id, e.period, coalesce(e.api_key_id, ''), coalesce(e.operation, '')
  from credits_private.entries_between(p_account_id, p_first_id, p_last_id) as e
  on conflict (account_id, period, api_key_id, operation) do nothing;

  update credits_private.usage_counters as u
  set
    credits_used = u.credits_used - s.amount,
    calls = u.calls + s.calls,
    last_entry_id = s.last_entry_id
  from (
    select e.period, coalesce(e.api_key_id, '') as api_key_id,
      coalesce(e.operation, '') as operation, sum(e.amount)::bigint as amount,
      count(*) filter (where e.entry_id = e.transaction_id) as calls,
      max(e.entry_id) as last_entry_id
    from credits_private.entries_between(p_account_id, p_first_id, p_last_id) as e
    group by 1, 2, 3
  ) as s
  where u.account_id = p_account_id and u.period = s.period and u.api_key_id = s.api_key_id
    and u.operation = s.operation;

  perform credits_private.raise_usage_overflow(p_account_id)
  from credits_private.usage_counters as u
  where u.account_id = p_account_id and u.last_entry_id >= p_first_id
    and u.credits_used > credits_private.max_amount();
end
$$;

-- A new counter starts at zero. If it exists already, the caller's update failed because it would
-- have gone beyond 2^53 - 1: the call is refused.
create or replace function credits_private.insert_usage_counter(
  p_account_id text, p_period date, p_api_key_id text, p_operation text
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.usage_counters (account_id, period, api_key_id, operation)
  values (p_account_id, p_period, coalesce(p_api_key_id, ''), coalesce(p_operation, ''))
  on conflict do nothing;
  if not found then
    perform credits_private.raise_usage_overflow(p_account_id);
  end if;
end
$$;

create or replace function credits_private.raise_usage_overflow(p_account_id text)
returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.raise_error('22023',
    'usage in a period must not exceed 9007199254740991',
    jsonb_build_object('account_id', p_account_id, 'argument', 'p_amount'),
    'Beyond 2^53 - 1 a number is not exact in JSON and JavaScript.');
end
$$;

-- Whether an entry by itself is one that the ledger can have.
create or replace function credits_private.is_entry(
  p_kind text, p_amount bigint, p_grant_id bigint, p_hold_id bigint, p_is_first boolean,
  p_revoked_grant_id bigint, p_refunded_entry_id bigint
) returns boolean
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return (p_kind = 'refund') = (p_refunded_entry_id is not null)
    and coalesce(case p_kind
      when 'deduction' then p_amount < 0
      when 'capture' then p_amount < 0 and p_hold_id is not null and p_is_first is not null
      when 'expiry' then p_amount < 0 and p_grant_id is not null
      when 'revocation' then p_revoked_grant_id is not null
        and (p_amount < 0 or p_amount > 0 and p_grant_id is null)
      when 'grant' then p_amount > 0 and p_grant_id is not null
      when 'refund' then p_amount > 0
      when 'repay' then p_amount <> 0 and (p_amount > 0) = (p_grant_id is null)
    end, false);
end
$$;

-- A debt is never negative. A deduction takes no account further into debt than its overdraft
-- limit. (A revocation may, and overdraft that a hold has reserved can be captured.)
create or replace function credits_private.check_debt(
  p_account_id text, p_entry_id bigint, p_kind text
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if exists (
    select from credits_private.accounts as a
    where a.account_id = p_account_id and (a.debt < 0
      or p_kind = 'deduction' and a.debt + a.overdraft_held > a.overdraft_limit))
  then
    perform credits_private.raise_refused_entry(p_account_id, p_entry_id);
  end if;
end
$$;

-- A deduction or capture adds to its own window. A refund lowers the window of what it refunds, or
-- none, if that was before the limit. Returns whether it counts under a limit. It says itself what
-- limit_scope_id says, and what a period's window is, as examine_limits does, and for the same
-- reason.
create or replace function credits_private.apply_limits(
  p_account_id text, p_entry_id bigint, p_kind text, p_amount bigint, p_period date,
  p_effective_at timestamptz, p_api_key_id text, p_operation text, p_run_id text,
  p_refunded_entry_id bigint
) returns boolean
language plpgsql
set search_path = pg_temp
as $$
declare
  v_limit record;
  v_scope_id text;
  v_window_start timestamp;
  v_is_checked boolean := p_kind = 'deduction';
  v_is_counted boolean := false;
begin
  if p_refunded_entry_id is not null then
    select e.period, e.effective_at into p_period, p_effective_at
    from credits_private.entries as e
    where e.account_id = p_account_id and e.entry_id = p_refunded_entry_id;
  end if;

  for v_limit in
    select l.limit_id, l.ceiling + l.overage as most, l.limit_window, l.scope_id, l.pseudonyms,
      coalesce(case l.scope
        when 'api_key' then p_api_key_id
        when 'operation' then p_operation
        when 'run' then p_run_id
      end, '') as id
    from credits_private.limits as l
    where l.account_id = p_account_id
  loop
    v_scope_id := v_limit.id;
    if v_limit.pseudonyms is not null then
      v_scope_id := coalesce(v_limit.pseudonyms ->> v_scope_id, v_scope_id);
    end if;
    continue when v_limit.scope_id <> v_scope_id;
    v_window_start := p_period::timestamp;
    if v_limit.limit_window <> 'period' then
      v_window_start := credits_private.limit_window_start(
        v_limit.limit_window, p_period, p_effective_at, (
          select a.time_zone from credits_private.accounts as a
          where a.account_id = p_account_id));
    end if;
    loop
      update credits_private.limit_counters as c
      set spent = c.spent - p_amount, last_entry_id = p_entry_id
      where c.account_id = p_account_id and c.limit_id = v_limit.limit_id
        and c.window_start = v_window_start and c.scope_id = v_scope_id
        and (not v_is_checked or c.spent - p_amount <= v_limit.most);
      exit when found or p_refunded_entry_id is not null;
      insert into credits_private.limit_counters (account_id, limit_id, window_start, scope_id)
      values (p_account_id, v_limit.limit_id, v_window_start, v_scope_id)
      on conflict do nothing;
      if not found then
        perform credits_private.raise_refused_entry(p_account_id, p_entry_id);
      end if;
    end loop;
    v_is_counted := true;
  end loop;
  return v_is_counted;
end
$$;

-- Raises an error that names the promise that an entry would have broken. The account is updated
-- first: if it already has the entry, a later step refused.
create or replace function credits_private.raise_refused_entry(p_account_id text, p_entry_id bigint)
returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_entry credits_private.entry;
  v_account credits_private.account;
  v_invariant text;
begin
  select e.* into v_entry
  from credits_private.entries as e
  where e.account_id = p_account_id and e.entry_id = p_entry_id;
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_account_id;

  v_invariant := case
    when p_entry_id < 1 then 'entries_are_gapless'
    when v_account.last_entry_id >= p_entry_id then case
      when v_account.debt < 0 then 'available_is_never_negative'
      when v_entry.grant_id is null
        and v_account.debt + v_account.overdraft_held > v_account.overdraft_limit
        then 'available_is_never_negative'
      when v_entry.grant_id is null or v_account.head_grant_id is not null or exists (
        select from credits_private.grants as g
        where g.account_id = p_account_id and g.grant_id = v_entry.grant_id
          and g.last_entry_id = p_entry_id) then 'limits_are_never_passed'
      else 'expired_credit_is_never_spent'
    end
    when v_account.last_entry_id is distinct from p_entry_id - 1 then 'entries_are_gapless'
    when v_account.balance + v_entry.amount <> v_entry.balance_after then 'balance_equals_ledger'
    when v_account.last_effective_at > v_entry.effective_at
      or v_account.last_created_at > v_entry.created_at
      or v_account.period > v_entry.period
      or v_entry.effective_at > v_entry.created_at then 'entries_never_run_back_in_time'
    when v_account.head_grant_id is not null then 'grants_equal_ledger'
    else 'every_change_has_an_entry'
  end;
  perform credits_private.raise_error('23514', 'the ledger refuses this entry',
    jsonb_build_object('account_id', p_account_id, 'entry_id', p_entry_id),
    'Entries are written by the functions of the schema credits, not by hand.', v_invariant);
end
$$;

-- No figure or time of an entry ever changes, nor what it belongs to. The columns are listed one by
-- one, because forget_account replaces the three that can name a person.
create or replace trigger _100_entries_are_immutable
  before delete or update of account_id, entry_id, transaction_id, grant_id, amount, balance_after,
    effective_at, created_at, period, entry_count, refunded_transaction_id, refunded_entry_id,
    kind, operation, idempotency_key, hold_id, is_final, is_first, revoked_grant_id,
    repaid_entry_id, available, statement_entries
  on credits_private.entries
  for each row
  execute function credits_private.refuse_change('entries_are_immutable', 'entries');

create or replace trigger _110_entries_are_never_truncated
  before truncate on credits_private.entries
  for each statement
  execute function credits_private.refuse_change('entries_are_immutable', 'entries');

create or replace trigger _120_entries_are_forgotten_or_left
  before update of api_key_id, run_id, metadata on credits_private.entries
  for each row
  execute function credits_private.refuse_unless_forgotten('entries_are_immutable', 'entries');

create or replace trigger _500_every_change_has_an_entry
  after insert on credits_private.entries
  for each row
  execute function credits_private.apply_entry();
