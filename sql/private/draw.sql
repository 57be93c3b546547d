-- Which grants p_amount is drawn from, and in which order: the burn-down order. Lower priority
-- first; scoped before unscoped, so that what can be used anywhere is used last; earlier expiry
-- (never is last); free before paid; older. To be called under the account's lock, after settling:
-- every open grant is unexpired then. Without enough, it says what could have been drawn.
--
-- A loop: for the one grant that most accounts have, half the price of a window function.
create or replace function credits_private.draw(
  p_account_id text, p_amount bigint, p_operation text
) returns credits_private.draw
language plpgsql stable
set search_path = ''
as $$
declare
  v_grant record;
  v_amount bigint;
  v_drawn bigint := 0;
  v_drawable bigint := 0;
  v_available_after bigint := 0;
  v_grant_ids bigint[] := '{}';
  v_amounts bigint[] := '{}';
begin
  for v_grant in
    select g.grant_id, g.remaining, g.operations
    from credits_private.grants as g
    where g.account_id = p_account_id and g.is_open
    order by g.priority, g.operations is null, g.expires_at nulls last,
      g.source = 'purchase', g.effective_at, g.grant_id
  loop
    v_amount := 0;
    if v_grant.operations is null or p_operation = any (v_grant.operations) then
      v_drawable := v_drawable + v_grant.remaining;
      v_amount := least(v_grant.remaining, p_amount - v_drawn);
    end if;
    if v_amount > 0 then
      v_drawn := v_drawn + v_amount;
      v_grant_ids := v_grant_ids || v_grant.grant_id;
      v_amounts := v_amounts || v_amount;
    end if;
    if v_grant.operations is null then
      v_available_after := v_available_after + v_grant.remaining - v_amount;
    end if;
  end loop;
  return (v_grant_ids, v_amounts, v_drawable, v_available_after)::credits_private.draw;
end
$$;

revoke all on function credits_private.draw(text, bigint, text) from public;
