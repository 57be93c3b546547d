-- How much can be open on an account at once. So a settlement cannot fail for its size
-- (an_account_stays_bounded).

-- Open holds, and, counted for themselves, grants that have credits or are scheduled.
create or replace function credits_private.most_at_once()
returns bigint
language sql immutable
set search_path = pg_temp
as $$
  select 10000
$$;

-- Whether an account may have another hold. Ids are consecutive, so while fewer ids than the bound
-- have come since the oldest hold that is open, nothing has to be counted.
create or replace function credits_private.check_room_for_hold(
  p_account credits_private.account
) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_first_id bigint := (
    select h.hold_id
    from credits_private.holds as h
    where h.account_id = p_account.account_id and h.state = 'open'
    order by h.hold_id
    limit 1);
begin
  if p_account.last_hold_id - v_first_id + 1 >= credits_private.most_at_once() and (
    select count(*)
    from credits_private.holds as h
    where h.account_id = p_account.account_id and h.state = 'open'
  ) >= credits_private.most_at_once() then
    perform credits_private.raise_unbounded(p_account.account_id, 'open holds',
      'Capture or release holds that are done, or hold for a shorter time.');
  end if;
end
$$;

-- Whether an account may have another grant. Re-grants count, but a refund is never refused for
-- them: it gives back what was paid for.
create or replace function credits_private.check_room_for_grant(
  p_account credits_private.account
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_account.last_grant_id >= credits_private.most_at_once() and (
    select count(*)
    from credits_private.grants as g
    where g.account_id = p_account.account_id and (g.is_open or g.is_scheduled)
  ) >= credits_private.most_at_once() then
    perform credits_private.raise_unbounded(p_account.account_id, 'live grants',
      'Give fewer and larger grants, or wait until some are used up or have expired.');
  end if;
end
$$;

create or replace function credits_private.raise_unbounded(
  p_account_id text, p_what text, p_hint text
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.raise_error('PT429', format('too many %s', p_what),
    jsonb_build_object('account_id', p_account_id, 'what', p_what,
      'most', credits_private.most_at_once()),
    p_hint, 'an_account_stays_bounded');
end
$$;
