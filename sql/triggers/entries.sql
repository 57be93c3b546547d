-- The ledger's own trigger: what an entry means for the balance, its grant and the usage counters,
-- in the same statement as the entry. Nothing else changes a figure.
create or replace function credits_private.apply_entry() returns trigger
language plpgsql
set search_path = ''
as $$
declare
  v_is_deduction boolean := new.kind = 'deduction';
begin
  -- The conditions are the promises that can be seen from two rows. Where one is broken, no row is
  -- updated, and refuse_entry says which it was.
  update credits_private.accounts as a
  set
    balance = a.balance + new.amount,
    last_entry_id = new.entry_id,
    last_effective_at = new.effective_at,
    last_created_at = new.created_at
  where a.account_id = new.account_id
    and a.last_entry_id = new.entry_id - 1
    and a.balance + new.amount = new.balance_after
    and a.last_effective_at <= new.effective_at
    and a.last_created_at <= new.created_at
    and a.period <= new.period
    and new.effective_at <= new.created_at
    and new.entry_id - new.transaction_id between 0 and new.entry_count - 1
    and (new.kind = 'refund') = (new.refunded_entry_id is not null)
    and case new.kind
      when 'deduction' then new.amount < 0
      when 'expiry' then new.amount < 0
      when 'grant' then new.amount > 0
      when 'refund' then new.amount > 0
    end;
  if not found then
    perform credits_private.refuse_entry(new);
  end if;

  update credits_private.grants as g
  set
    remaining = g.remaining + new.amount,
    is_open = g.remaining + new.amount > 0,
    last_entry_id = new.entry_id
  where g.account_id = new.account_id
    and g.grant_id = new.grant_id
    and (new.kind = 'expiry') = coalesce(g.expires_at <= new.effective_at, false);
  if not found then
    perform credits_private.refuse_entry(new);
  end if;

  -- The first call of a period for an API key and an operation finds no counter: it starts at zero.
  while v_is_deduction or new.kind = 'refund' loop
    update credits_private.usage_counters as u
    set
      credits_used = u.credits_used - case when v_is_deduction then new.amount else 0 end,
      credits_refunded = u.credits_refunded + case when v_is_deduction then 0 else new.amount end,
      calls = u.calls + (v_is_deduction and new.entry_id = new.transaction_id)::int,
      last_entry_id = new.entry_id
    where u.account_id = new.account_id
      and u.period = new.period
      and u.api_key_id = coalesce(new.api_key_id, '')
      and u.operation = coalesce(new.operation, '');
    exit when found;
    insert into credits_private.usage_counters (account_id, period, api_key_id, operation)
    values (
      new.account_id, new.period, coalesce(new.api_key_id, ''), coalesce(new.operation, ''));
  end loop;
  return null;
end
$$;

revoke all on function credits_private.apply_entry() from public;

-- Says which promise an entry would have broken. The account is updated before the grant: if it has
-- the entry, it was the grant that refused.
create or replace function credits_private.refuse_entry(p_entry credits_private.entries)
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_account credits_private.accounts;
  v_invariant text;
begin
  select a.* into v_account
  from credits_private.accounts as a
  where a.account_id = p_entry.account_id;

  v_invariant := case
    when v_account.last_entry_id = p_entry.entry_id then 'expired_credit_is_never_spent'
    when v_account.last_entry_id is distinct from p_entry.entry_id - 1 then 'entries_are_gapless'
    when v_account.balance + p_entry.amount <> p_entry.balance_after then 'balance_equals_ledger'
    when v_account.last_effective_at > p_entry.effective_at
      or v_account.last_created_at > p_entry.created_at
      or v_account.period > p_entry.period
      or p_entry.effective_at > p_entry.created_at then 'entries_never_run_back_in_time'
    else 'every_change_has_an_entry'
  end;
  perform credits_private.raise_error('23514', 'the ledger refuses this entry',
    jsonb_build_object('account_id', p_entry.account_id, 'entry_id', p_entry.entry_id),
    'Entries are written by the functions of the schema credits, not by hand.', v_invariant);
end
$$;

revoke all on function credits_private.refuse_entry(credits_private.entries) from public;

create or replace trigger _100_entries_are_immutable
  before update or delete on credits_private.entries
  for each row
  execute function credits_private.refuse_change('entries_are_immutable', 'entries');

create or replace trigger _110_entries_are_never_truncated
  before truncate on credits_private.entries
  for each statement
  execute function credits_private.refuse_change('entries_are_immutable', 'entries');

create or replace trigger _500_every_change_has_an_entry
  after insert on credits_private.entries
  for each row
  execute function credits_private.apply_entry();
