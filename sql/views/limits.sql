-- A limit that counts each API key, operation or run for itself has a row for each of them that has
-- spent in the current window or has open holds.
create or replace view credits.limits as
select
  l.account_id,
  l.limit_id,
  l.scope,
  coalesce(l.scope_id, nullif(s.scope_id, '')) as scope_id,
  l.scope <> 'account' and l.scope_id is null as is_each,
  l.limit_window,
  nullif(w.window_start, '-infinity')::date as window_start,
  l.ceiling,
  l.overage,
  coalesce(n.spent, 0) as spent,
  coalesce(r.reserved, 0) as reserved,
  greatest(0, l.ceiling + l.overage - coalesce(n.spent, 0) - coalesce(r.reserved, 0)) as remaining
from credits_private.limits as l
join credits_private.accounts as a on a.account_id = l.account_id
cross join lateral (select clock_timestamp() as now) as c
cross join lateral (
  select case when l.limit_window <> 'day' or credits_private.is_time_zone(a.time_zone) then
    credits_private.limit_window_start(l.limit_window, credits_private.period_shown(
      c.now, a.period, a.next_period, a.period_ends_at, a.time_zone, a.anchor_day),
      c.now, a.time_zone) end as window_start
) as w
left join lateral (
  select n.scope_id
  from credits_private.limit_counters as n
  where n.account_id = l.account_id and n.limit_id = l.limit_id
    and n.window_start = w.window_start
  union
  select credits_private.limit_scope_id(l.scope, l.scope_id, l.pseudonyms,
    h.api_key_id, h.operation, h.run_id)
  from credits_private.holds as h
  where h.account_id = l.account_id and h.state = 'open' and h.expires_at > c.now
    and credits_private.limit_scope_id(l.scope, l.scope_id, l.pseudonyms,
      h.api_key_id, h.operation, h.run_id) is not null
) as s on true
left join credits_private.limit_counters as n
  on n.account_id = l.account_id and n.limit_id = l.limit_id
  and n.window_start = w.window_start and n.scope_id = s.scope_id
left join lateral (
  select sum(h.held)::bigint as reserved
  from credits_private.holds as h
  where h.account_id = l.account_id and h.state = 'open' and h.expires_at > c.now
    and credits_private.limit_scope_id(l.scope, l.scope_id, l.pseudonyms,
      h.api_key_id, h.operation, h.run_id) = s.scope_id
  group by h.account_id
) as r on true;

comment on view credits.limits is $comment$
What may still be spent under each limit, now. One row per limit. A limit that counts each API key,
operation or run for itself has a row for each of them that has spent in the current window or has
open holds, and one row without a scope_id as long as none has.
$comment$;

comment on column credits.limits.scope is '''account'', ''api_key'', ''operation'' or ''run''';
comment on column credits.limits.scope_id is
  'which API key, operation or run; null for the account, and for calls that name none';
comment on column credits.limits.is_each is
  'whether the limit counts each API key, operation or run for itself';
comment on column credits.limits.limit_window is '''day'', ''period'' or ''total''';
comment on column credits.limits.window_start is 'its first local day; null for total';
comment on column credits.limits.ceiling is
  'what may be spent in a window; calls that go beyond it say so';
comment on column credits.limits.overage is 'how far beyond the ceiling calls may go';
comment on column credits.limits.spent is 'spent in the window, less refunds';
comment on column credits.limits.reserved is 'reserved by open holds';
comment on column credits.limits.remaining is 'what may still be spent or held';
