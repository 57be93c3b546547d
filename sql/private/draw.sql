-- Which grants p_amount is drawn from, in burn-down order: lower priority first; scoped before
-- unscoped, so that what can be used anywhere is used last; earlier expiry first, and never last;
-- free before paid; older first. What no grant covers is drawn from p_overdraft, with null for its
-- grant. Call it under the account's lock, after settling. Held credit is excluded; credit that
-- expired before p_at has already been settled away. If there is not enough, the result says how
-- much could have been drawn.
--
-- With the one grant that most accounts have, a loop costs half as much as a window function.
create or replace function credits_private.draw(
  p_account_id text, p_amount bigint, p_operation text, p_at timestamptz, p_overdraft bigint
) returns credits_private.draw
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_grant record;
  v_amount bigint;
  v_left bigint := p_amount;
  v_front_entry_id bigint;
  v_is_front boolean := true;
  v_drawable bigint := p_overdraft;
  v_available_after bigint := p_overdraft;
  v_grant_ids bigint[] := '{}'::bigint[];
  v_amounts bigint[] := '{}'::bigint[];
begin
  for v_grant in
    select g.grant_id, g.remaining - g.held as free, g.operations, g.last_entry_id
    from credits_private.remainders as g
    where g.account_id = p_account_id and g.is_open
      and (g.expires_at is null or g.expires_at > p_at)
    order by g.priority, g.operations is null, g.expires_at nulls last,
      g.source = 'purchase', g.effective_at, g.grant_id
  loop
    v_amount := 0;
    if v_grant.operations is null or p_operation = any (v_grant.operations) then
      v_drawable := v_drawable + v_grant.free;
      v_amount := least(v_grant.free, v_left);
    end if;
    if v_amount > 0 then
      v_left := v_left - v_amount;
      v_grant_ids := v_grant_ids || v_grant.grant_id;
      v_amounts := v_amounts || v_amount;
    end if;
    if v_grant.operations is null then
      v_available_after := v_available_after + v_grant.free - v_amount;
      if v_is_front and v_amount = p_amount and v_grant.free > v_amount then
        v_front_entry_id := v_grant.last_entry_id;
      end if;
      v_is_front := false;
    end if;
  end loop;

  if v_left > 0 and p_overdraft > 0 then
    v_amount := least(p_overdraft, v_left);
    v_grant_ids := array_append(v_grant_ids, null);
    v_amounts := v_amounts || v_amount;
    v_available_after := v_available_after - v_amount;
  end if;
  return (v_grant_ids, v_amounts, least(v_drawable, credits_private.max_amount()),
    least(v_available_after, credits_private.max_amount()), v_front_entry_id
    )::credits_private.draw;
end
$$;

-- What is left of an account's overdraft.
create or replace function credits_private.overdraft(p_account credits_private.account)
returns bigint
language plpgsql immutable
set search_path = pg_temp
as $$
begin
  return greatest(0, p_account.overdraft_limit - p_account.debt - p_account.overdraft_held);
end
$$;

create or replace function credits_private.shortage_refusal(
  p_account_id text, p_amount bigint, p_available bigint, p_operation text, p_hold_id bigint = null
) returns credits_private.refusal
language sql immutable
set search_path = pg_temp
as $$
  select (
    'PT402', 'insufficient credits',
    jsonb_build_object('account_id', p_account_id, 'requested', p_amount,
      'available', p_available, 'operation', p_operation, 'hold_id', p_hold_id),
    'Grant credits, or ask for no more than is available.', 'available_is_never_negative'
  )::credits_private.refusal
$$;
