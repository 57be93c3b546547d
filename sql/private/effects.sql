-- What everything that is due does to an account: the one telling of it. Settling books these
-- effects (settle.sql), and figures between two settlings are sums of them (figures.sql), so the
-- two cannot differ.

-- What is due by p_at, grant by grant, in the order in which it takes effect: at, step, id, and the
-- order in which a hold was drawn. Overdraft that a hold returns is a row without a grant, and so
-- is a hold that has nothing left. Where the account is in debt (p_has_debt), whatever of a thing
-- can repay has another row at the end of it, in burn-down order. grant_n and origin_n number the
-- grants, and rows counts the rows, for the arrays of due_effects.
--
-- Each part is looked up by itself (limit 1): Postgres takes an account's grants for few, and would
-- join all of them with each other.
create or replace function credits_private.due_rows(
  p_account_id text, p_at timestamptz, p_has_debt boolean
) returns table (
  at timestamptz, kind text, id bigint, grant_id bigint, amount bigint, is_repaying boolean,
  free bigint, operations text[], expires_at timestamptz, origin_grant_id bigint, owed bigint,
  was_taken boolean, grant_n bigint, origin_n bigint, rows bigint
)
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return query
  select d.at, d.kind, d.id, p.grant_id, p.amount, r.is_repaying, g.remaining - g.held,
    g.operations, g.expires_at, o.grant_id, o.revoked - o.taken, o.taken > 0,
    dense_rank() over (order by p.grant_id), dense_rank() over (order by o.grant_id),
    count(*) over ()
  from credits_private.due as d
  left join lateral (
    select h.grant_id, sum(h.amount)::bigint as amount, min(h.part_id) as part_id
    from credits_private.hold_parts as h
    where h.account_id = p_account_id and h.hold_id = d.id and d.kind = 'hold expires'
    group by h.grant_id
    having sum(h.amount) > 0
    union all
    select d.id, d.amount, null::bigint where d.kind <> 'hold expires'
  ) as p on true
  left join lateral (
    select g.*
    from credits_private.remainders as g
    where g.account_id = p_account_id and g.grant_id = p.grant_id
    limit 1
  ) as g on true
  left join lateral (
    select o.grant_id, o.revoked, o.taken
    from credits_private.grants as o
    where o.account_id = p_account_id and o.grant_id = coalesce(g.origin_grant_id, g.grant_id)
    limit 1
  ) as o on true
  cross join lateral (
    select false as is_repaying
    union all
    select true
    where p_has_debt and d.kind <> 'grant expires' and g.operations is null
      and (g.expires_at is null and g.grant_id is not null or g.expires_at > d.at)
  ) as r
  where d.account_id = p_account_id and d.at <= p_at and d.kind <> 'period ends'
  order by d.at, d.step, d.id, r.is_repaying, case when not r.is_repaying then p.part_id end,
    g.priority, g.expires_at nulls last, g.source = 'purchase', g.effective_at, g.grant_id;
end
$$;

-- What everything that is due by p_at does to each grant of an account that has p_debt, in order,
-- as tidy does it after each thing (tidy.sql):
--
-- * returned, from a hold, or begun; expired, where the grant expires;
-- * taken, because it was asked back, or has replaced debt that was booked for a revocation;
-- * expired, where the grant has expired meanwhile; repaid, which is also what debt goes by.
--
-- One pass in memory. The arrays hold, by grant, what is free of it, and by origin, what is asked
-- back and not taken yet, and the debt that is left of its revocation.
create or replace function credits_private.due_effects(
  p_account_id text, p_at timestamptz, p_debt bigint
) returns setof credits_private.due_effect
language plpgsql stable
set search_path = pg_temp
as $$
declare
  v_row record;
  v_effect credits_private.due_effect;
  v_n bigint := 0;
  v_debt bigint := p_debt;
  v_free bigint[];
  v_owed bigint[];
  v_booked bigint[];
  v_revoked_debts jsonb;
begin
  for v_row in
    select r.* from credits_private.due_rows(p_account_id, p_at, p_debt > 0) as r
  loop
    if v_n = 0 then
      v_free := array_fill(null::bigint, array[v_row.rows::int]);
      v_owed := v_free;
      v_booked := v_free;
    end if;
    v_n := v_n + 1;
    v_effect := (v_n, v_row.at, v_row.kind, v_row.id, v_row.grant_id, v_row.origin_grant_id,
      v_row.operations, v_row.expires_at, 0, 0, 0, 0, 0, 0)::credits_private.due_effect;
    if v_debt > 0 and v_row.was_taken and v_booked[v_row.origin_n] is null then
      v_revoked_debts := coalesce(
        v_revoked_debts, credits_private.revoked_debts(p_account_id));
      v_booked[v_row.origin_n] :=
        coalesce((v_revoked_debts ->> v_row.origin_grant_id::text)::bigint, 0);
    end if;
    v_row.free := coalesce(v_free[v_row.grant_n], v_row.free);
    v_row.owed := coalesce(v_owed[v_row.origin_n], v_row.owed);

    case when v_row.is_repaying then
      v_effect.repaid := least(v_row.free, v_debt);
    when v_row.kind = 'grant expires' then
      v_effect.expired := v_row.free;
    when v_row.kind = 'hold expires' and v_row.grant_id is null then
      v_effect.returned := coalesce(v_row.amount, 0);
    when v_row.kind in ('hold expires', 'grant begins') then
      if v_row.kind = 'hold expires' then
        v_effect.returned := v_row.amount;
      else
        v_effect.begun := v_row.amount;
      end if;
      v_row.free := v_row.free + v_row.amount;
      v_effect.taken := greatest(0, least(v_row.owed, v_row.free));
      if v_row.operations is not null or v_row.expires_at <= v_row.at then
        v_effect.replaced := greatest(0, least(least(v_row.amount, v_row.free) - v_effect.taken,
          v_debt, coalesce(v_booked[v_row.origin_n], 0)));
      end if;
      if v_row.expires_at <= v_row.at then
        v_effect.expired := v_row.free - v_effect.taken - v_effect.replaced;
      end if;
    end case;
    v_free[v_row.grant_n] := v_row.free - v_effect.taken - v_effect.replaced - v_effect.expired
      - v_effect.repaid;
    v_owed[v_row.origin_n] := v_row.owed - v_effect.taken;
    v_booked[v_row.origin_n] := v_booked[v_row.origin_n] - v_effect.replaced - v_effect.repaid;
    v_debt := v_debt - v_effect.replaced - v_effect.repaid;
    if not v_row.is_repaying or v_effect.repaid > 0 then
      return next v_effect;
    end if;
  end loop;
end
$$;

-- The debt that is left of each grant's revocation (see revoked_debt), by the id of the grant that
-- was granted.
create or replace function credits_private.revoked_debts(p_account_id text)
returns jsonb
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return (
    select coalesce(jsonb_object_agg(d.grant_id, d.amount), '{}')
    from (
      select d.grant_id, sum(d.amount)::bigint as amount
      from (
        select d.*,
          bool_or(d.is_booked) over (partition by d.grant_id order by d.entry_id) as counts
        from (
          select e.entry_id, e.revoked_grant_id as grant_id, -e.amount as amount,
            true as is_booked
          from credits_private.entries as e
          where e.account_id = p_account_id and e.kind = 'revocation' and e.grant_id is null
          union all
          select e.entry_id, coalesce(g.origin_grant_id, g.grant_id), e.amount, false
          from credits_private.entries as e
          cross join lateral (
            select g.grant_id, g.origin_grant_id
            from credits_private.grants as g
            where g.account_id = p_account_id and g.grant_id = e.grant_id
            limit 1
          ) as g
          where e.account_id = p_account_id and e.kind = 'repay'
        ) as d
      ) as d
      where d.counts
      group by d.grant_id
    ) as d);
end
$$;
