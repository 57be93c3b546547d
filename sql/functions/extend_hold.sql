create or replace function credits_private.extend_hold_at(
  p_account_id text, p_hold_id bigint, p_expires_in interval, p_at timestamptz
) returns credits.extend_hold_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
  v_hold credits_private.hold;
  v_expires_at timestamptz;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_hold_id(p_account_id, p_hold_id);
  perform credits_private.hold_expires_at(p_account_id, '2000-01-01Z', p_expires_in);

  v_account := credits_private.enter(p_account_id, p_at);
  perform credits_private.check_is_open(v_account);
  v_hold := credits_private.open_hold(p_account_id, p_hold_id);
  v_expires_at := credits_private.hold_expires_at(
    p_account_id, v_account.last_created_at, p_expires_in);

  -- Never shorter. The account stays due at the old moment, and finds nothing to do then.
  if v_expires_at > v_hold.expires_at then
    update credits_private.holds as h
    set expires_at = v_expires_at
    where h.account_id = p_account_id and h.hold_id = p_hold_id
    returning h.* into v_hold;
    update credits_private.accounts as a
    set last_created_at = v_account.last_created_at
    where a.account_id = p_account_id;
  end if;
  return (p_hold_id, v_hold.held, v_account.balance,
    credits_private.available(p_account_id, null, v_account.last_created_at), v_hold.expires_at
    )::credits.extend_hold_result;
end
$$;

revoke all on function
  credits_private.extend_hold_at(text, bigint, interval, timestamptz) from public;

create or replace function credits.extend_hold(
  p_account_id text,
  p_hold_id bigint,
  p_expires_in interval
) returns credits.extend_hold_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.extend_hold_at(
    p_account_id collate "default", p_hold_id, p_expires_in, null);
end
$$;

revoke all on function credits.extend_hold(text, bigint, interval) from public;

comment on function credits.extend_hold(text, bigint, interval) is $comment$
Lets an open hold last until `p_expires_in` from now, more than nothing and at most ten years, as
a long run does now and then. It never shortens: a hold that lasts longer already stays as it is.

Returns the hold, what it still has, the balance, what a deduction without operation may take, and
when it expires. A repeat counts from its own now.

Raises `PT410` if the hold is not open any more: the detail's `state` is 'expired', 'released' or
'captured'; `PT404` if there is no such account or hold; `PT423` if the account is closed; `22023`
for a malformed argument. Whatever it raises, nothing was changed.
$comment$;
