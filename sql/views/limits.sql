-- A limit that counts each API key, operation or run for itself has a row for each of them that has
-- spent in the current window or has something reserved. It reads counters; only where something is
-- due does it look for holds that have expired since the account was settled. (offset 0: otherwise
-- Postgres would compute the window for each row.)
create or replace view credits.limits as
select
  l.account_id,
  l.limit_id,
  l.scope,
  coalesce(l.scope_id, nullif(s.scope_id, '')) as scope_id,
  l.scope <> 'account' and l.scope_id is null as is_each,
  l.limit_window,
  case l.limit_window
    when 'hour' then (w.window_starts_at at time zone a.time_zone)::date
    else nullif(w.window_start, '-infinity')::date
  end as window_start,
  l.ceiling,
  l.overage,
  coalesce(s.spent, 0) as spent,
  coalesce(s.reserved, 0) as reserved,
  greatest(0, l.ceiling + l.overage - coalesce(s.spent, 0) - coalesce(s.reserved, 0)) as remaining,
  w.window_starts_at,
  w.window_ends_at
from credits_private.limits as l
join credits_private.accounts as a on a.account_id = l.account_id
cross join lateral (select clock_timestamp() as now) as c
cross join lateral (
  select case when l.limit_window in ('period', 'total')
    or credits_private.is_time_zone(a.time_zone) then
    credits_private.limit_window_start(l.limit_window, credits_private.period_shown(
      c.now, a.period, a.next_period, a.period_ends_at, a.time_zone, a.anchor_day),
      c.now, a.time_zone) end as window_start
  offset 0
) as v
left join credits_private.period_settings as p
  on p.account_id = a.account_id and p.period = v.window_start and l.limit_window = 'period'
cross join lateral (
  select
    v.window_start,
    case
      when l.limit_window = 'hour' then v.window_start at time zone 'UTC'
      when l.limit_window <> 'total'
        and credits_private.is_time_zone(coalesce(p.time_zone, a.time_zone))
      then credits_private.midnight(v.window_start::date, coalesce(p.time_zone, a.time_zone))
    end as window_starts_at,
    case l.limit_window
      when 'hour' then (v.window_start + interval '1 hour') at time zone 'UTC'
      when 'day' then credits_private.midnight(v.window_start::date + 1, a.time_zone)
      when 'week' then credits_private.midnight(v.window_start::date + 7, a.time_zone)
      when 'period' then case
        when v.window_start = a.period then a.period_ends_at
        else credits_private.midnight(
          credits_private.next_anchor(v.window_start::date, a.anchor_day), a.time_zone)
      end
    end as window_ends_at
  offset 0
) as w
left join lateral (
  select u.scope_id, sum(u.spent)::bigint as spent, sum(u.reserved)::bigint as reserved
  from (
    select n.scope_id, n.spent, 0 as reserved, 1 as uses
    from credits_private.limit_counters as n
    where n.account_id = l.account_id and n.limit_id = l.limit_id
      and n.window_start = w.window_start and n.last_entry_id > 0
    union all
    select n.scope_id, 0, n.reserved, 0
    from credits_private.limit_counters as n
    where n.account_id = l.account_id and n.limit_id = l.limit_id
      and n.window_start = '-infinity' and n.reserved <> 0
    union all
    -- Holds that have expired, and that nothing has settled yet.
    select h.scope_id, 0, -h.held, 0
    from (
      select h.held, credits_private.limit_scope_id(l.scope, l.scope_id, l.pseudonyms,
        h.api_key_id, h.operation, h.run_id) as scope_id
      from credits_private.holds as h
      where h.account_id = l.account_id and h.state = 'open' and h.expires_at <= c.now
        and a.due_at <= c.now
    ) as h
    where h.scope_id is not null
  ) as u
  group by u.scope_id
  having sum(u.uses) > 0 or sum(u.reserved) <> 0
) as s on true;

comment on view credits.limits is $comment$
What may still be spent under each limit, now. One row per limit. A limit that counts each API key,
operation or run for itself has a row for each of them that has spent in the current window or has
something reserved by open holds, and one row without a scope_id as long as none has.
$comment$;

comment on column credits.limits.scope is '''account'', ''api_key'', ''operation'' or ''run''';
comment on column credits.limits.scope_id is
  'which API key, operation or run; null for the account, and for calls that name none';
comment on column credits.limits.is_each is
  'whether the limit counts each API key, operation or run for itself';
comment on column credits.limits.limit_window is
  '''hour'', ''day'', ''week'', ''period'' or ''total''';
comment on column credits.limits.window_start is 'its first local day; null for total';
comment on column credits.limits.ceiling is
  'what may be spent in a window; calls that go beyond it say so';
comment on column credits.limits.overage is 'how far beyond the ceiling calls may go';
comment on column credits.limits.spent is 'spent in the window, less refunds';
comment on column credits.limits.reserved is 'reserved by open holds';
comment on column credits.limits.remaining is 'what may still be spent or held';
comment on column credits.limits.window_starts_at is
  'when the window began; null for total';
comment on column credits.limits.window_ends_at is
  'when the next window begins; null for total';
