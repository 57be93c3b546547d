-- Applies a part to what its hold, its grant and the account hold, in the same statement as the
-- part. Nothing else changes what is held. The account comes first; then the hold, which must be
-- open: a resolved hold holds nothing, for good.
create or replace function credits_private.apply_hold_part() returns trigger
language plpgsql
set search_path = pg_temp
as $$
declare
  v_has_limits boolean;
begin
  if new.statement_parts is not null then
    if new.statement_parts <> 0 then
      perform credits_private.apply_ended_parts(new.account_id, new.part_id);
      return null;
    end if;
    -- The statement's first part has applied this one, which is number 2 at least.
    perform from credits_private.accounts as a
    where a.account_id = new.account_id and a.last_part_id >= new.part_id;
    if not found or new.part_id < 2 then
      perform credits_private.raise_refused_part(new.account_id, new.hold_id, new.part_id,
        'every_change_has_an_entry');
    end if;
    return null;
  end if;

  update credits_private.accounts as a
  set
    held = a.held + new.amount,
    overdraft_held = a.overdraft_held + case when new.grant_id is null then new.amount else 0 end,
    last_part_id = new.part_id,
    last_created_at = new.created_at,
    plain_above = a.plain_above + case when a.head_grant_id is null then 0 else new.amount end,
    available_above =
      a.available_above - case when a.head_grant_id is null then 0 else new.amount end
  where a.account_id = new.account_id
    and a.last_part_id = new.part_id - 1
    and a.last_created_at <= new.created_at
    and new.effective_at <= new.created_at
    and new.amount <> 0
    -- While a head is up, only what it has free.
    and (a.head_grant_id is null
      or a.head_grant_id = new.grant_id and a.plain_above + new.amount <= a.balance)
  returning a.has_limits into v_has_limits;
  if not found then
    perform credits_private.raise_refused_part(new.account_id, new.hold_id, new.part_id,
      'every_change_has_an_entry');
  end if;

  update credits_private.holds as h
  set held = h.held + new.amount, last_part_id = new.part_id
  where h.account_id = new.account_id and h.hold_id = new.hold_id and h.state = 'open';
  if not found then
    perform credits_private.raise_refused_part(new.account_id, new.hold_id, new.part_id,
      'a_hold_is_resolved_once');
  end if;

  if new.grant_id is not null then
    update credits_private.grants as g
    set held = g.held + new.amount, last_part_id = new.part_id
    where g.account_id = new.account_id and g.grant_id = new.grant_id
      and (new.amount < 0 or g.expires_at is null or g.expires_at > new.effective_at);
    if not found then
      perform credits_private.raise_refused_part(new.account_id, new.hold_id, new.part_id,
        'expired_credit_is_never_spent');
    end if;
  end if;
  if v_has_limits then
    perform credits_private.apply_reservations(new.account_id, new.part_id, new.part_id);
  end if;
  return null;
end
$$;

create or replace function credits_private.raise_refused_part(
  p_account_id text, p_hold_id bigint, p_part_id bigint, p_invariant text
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.raise_error('23514', 'the ledger refuses this part of a hold',
    jsonb_build_object('account_id', p_account_id, 'hold_id', p_hold_id, 'part_id', p_part_id),
    'Holds are written by the functions of the schema credits, not by hand.', p_invariant);
end
$$;

create or replace trigger _100_hold_parts_are_immutable
  before update or delete on credits_private.hold_parts
  for each row
  execute function credits_private.refuse_change('held_equals_open_holds', 'hold_parts');

create or replace trigger _110_hold_parts_are_never_truncated
  before truncate on credits_private.hold_parts
  for each statement
  execute function credits_private.refuse_change('held_equals_open_holds', 'hold_parts');

create or replace trigger _500_held_equals_open_holds
  after insert on credits_private.hold_parts
  for each row
  execute function credits_private.apply_hold_part();
