-- The one statement that adds to the ledger, and the one that adds to what is held. Their triggers
-- change every figure; both functions return the account as the triggers left it. Both put the head
-- down, unless what they write stays on it.

-- Writes one transaction: an entry for each of p_grant_ids (null is debt), of the amount in
-- p_amounts times p_sign. p_entry holds what the entries have in common; the key and the metadata
-- go to the first one. A loop, because for a single entry, the usual case, it costs half as much as
-- one insert of a set.
create or replace function credits_private.write_entries(
  p_account credits_private.account, p_entry credits_private.entry, p_grant_ids bigint[],
  p_amounts bigint[], p_sign int = 1, p_refunded_entry_ids bigint[] = null,
  p_repaid_entry_ids bigint[] = null
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_account.head_grant_id is not null
    and (p_entry.kind = 'capture' and p_grant_ids = array[p_account.head_grant_id]
      and p_account.balance - p_amounts[1] > p_account.plain_above) is not true
  then
    p_account := credits_private.put_down_head(p_account);
  end if;
  p_entry.account_id := p_account.account_id;
  p_entry.transaction_id := p_account.last_entry_id + 1;
  p_entry.entry_count := cardinality(p_grant_ids);
  p_entry.period := p_account.period;
  if p_entry.effective_at >= p_account.period_ends_at then
    p_entry.period := credits_private.period_at(p_entry.effective_at, p_account.period,
      p_account.next_period, p_account.period_ends_at, p_account.time_zone, p_account.anchor_day);
  end if;

  for v_n in 1 .. p_entry.entry_count loop
    p_account.last_entry_id := p_account.last_entry_id + 1;
    p_entry.entry_id := p_account.last_entry_id;
    p_entry.grant_id := p_grant_ids[v_n];
    p_entry.amount := p_sign * p_amounts[v_n];
    p_account.balance := p_account.balance + p_entry.amount;
    p_entry.balance_after := p_account.balance;
    p_entry.refunded_entry_id := p_refunded_entry_ids[v_n];
    p_entry.repaid_entry_id := p_repaid_entry_ids[v_n];
    if p_entry.grant_id is null then
      p_account.debt := p_account.debt - p_entry.amount;
    end if;
    insert into credits_private.entries values (p_entry.*);
    p_entry.idempotency_key := null;
    p_entry.metadata := null;
  end loop;
  return p_account;
end
$$;

-- Reserves credits for a hold (p_sign 1), or takes from what it reserved (-1).
create or replace function credits_private.write_parts(
  p_account credits_private.account, p_hold_id bigint, p_grant_ids bigint[], p_amounts bigint[],
  p_sign int, p_effective_at timestamptz, p_created_at timestamptz
) returns credits_private.account
language plpgsql
set search_path = pg_temp
as $$
declare
  v_amount bigint;
begin
  if p_account.head_grant_id is not null
    and p_grant_ids <> array[p_account.head_grant_id] and p_grant_ids <> '{}'
  then
    p_account := credits_private.put_down_head(p_account);
  end if;
  for v_n in 1 .. cardinality(p_grant_ids) loop
    v_amount := p_sign * p_amounts[v_n];
    if p_account.head_grant_id is not null then
      p_account.plain_above := p_account.plain_above + v_amount;
      p_account.available_above := p_account.available_above - v_amount;
    end if;
    p_account.last_part_id := p_account.last_part_id + 1;
    p_account.held := p_account.held + v_amount;
    if p_grant_ids[v_n] is null then
      p_account.overdraft_held := p_account.overdraft_held + v_amount;
    end if;
    insert into credits_private.hold_parts (
      account_id, part_id, hold_id, grant_id, amount, effective_at, created_at
    ) values (
      p_account.account_id, p_account.last_part_id, p_hold_id, p_grant_ids[v_n], v_amount,
      p_effective_at, p_created_at
    );
  end loop;
  return p_account;
end
$$;

-- An account's first entry at or after a moment, or after all that it has: of entries that never
-- run back in time, some twenty probes of the primary key find it among a million. A probe looks
-- for the next entry, so that a ledger with a gap still has an answer.
create or replace function credits_private.first_entry_at(p_account_id text, p_at timestamptz)
returns bigint
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_probe record;
  v_first_id bigint := 1;
  v_end_id bigint := (
    select a.last_entry_id + 1 from credits_private.accounts as a
    where a.account_id = p_account_id);
begin
  while v_first_id < v_end_id loop
    select e.entry_id, e.effective_at into v_probe
    from credits_private.entries as e
    where e.account_id = p_account_id and e.entry_id >= (v_first_id + v_end_id) / 2
    order by e.entry_id
    limit 1;
    if v_probe.effective_at < p_at then
      v_first_id := v_probe.entry_id + 1;
    else
      v_end_id := (v_first_id + v_end_id) / 2;
    end if;
  end loop;
  return v_first_id;
end
$$;

-- The same of the first entry in a period, or in a later one.
create or replace function credits_private.first_entry_of_period(p_account_id text, p_period date)
returns bigint
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_probe record;
  v_first_id bigint := 1;
  v_end_id bigint := (
    select a.last_entry_id + 1 from credits_private.accounts as a
    where a.account_id = p_account_id);
begin
  while v_first_id < v_end_id loop
    select e.entry_id, e.period into v_probe
    from credits_private.entries as e
    where e.account_id = p_account_id and e.entry_id >= (v_first_id + v_end_id) / 2
    order by e.entry_id
    limit 1;
    if v_probe.period < p_period then
      v_first_id := v_probe.entry_id + 1;
    else
      v_end_id := (v_first_id + v_end_id) / 2;
    end if;
  end loop;
  return v_first_id;
end
$$;

-- The periods in which an account has entries, each with its first and its last one. Security
-- definer, because the views of invoices call it as their reader; parallel safe, because they sum
-- whole ledgers.
create or replace function credits_private.periods_of(p_account_id text)
returns table (period date, first_entry_id bigint, last_entry_id bigint)
language plpgsql stable security definer parallel safe
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  first_entry_id := 1;
  loop
    select e.period into period
    from credits_private.entries as e
    where e.account_id = p_account_id collate "default" and e.entry_id >= first_entry_id
    order by e.entry_id
    limit 1;
    exit when not found;
    last_entry_id := credits_private.first_entry_of_period(
      p_account_id collate "default", period + 1) - 1;
    return next;
    first_entry_id := last_entry_id + 1;
  end loop;
end
$$;
