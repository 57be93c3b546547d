-- requires: views/limit_uses.sql
--
create or replace view credits_private.check_limits_equal_ledger as
-- In each window since a limit was set, its counters show what the ledger shows.
select
  'limits_equal_ledger' as invariant,
  u.account_id,
  coalesce(u.expected, '(,)') as expected,
  coalesce(u.actual, '(,)') as actual,
  format('limit %s, window %s, %s', u.limit_id, replace(u.window_start::text, ' 00:00:00', ''),
    u.scope_id) as subject
from (
  select u.account_id, u.limit_id, u.window_start, u.scope_id, max(u.expected) as expected,
    max(u.actual) as actual
  from (
    select u.account_id, u.limit_id, u.window_start, u.scope_id,
      (-sum(u.amount), max(u.entry_id))::text as expected, null as actual
    from credits_private.limit_uses as u
    where u.window_start >= u.counts_from
    group by u.account_id, u.limit_id, u.window_start, u.scope_id
    union all
    select c.account_id, c.limit_id, c.window_start, c.scope_id, null as expected,
      (c.spent, c.last_entry_id)::text as actual
    from credits_private.limit_counters as c
    join credits_private.limits as l on l.account_id = c.account_id and l.limit_id = c.limit_id
    join credits_private.accounts as a
      on a.account_id = c.account_id
      and (l.limit_window in ('period', 'total') or credits_private.is_time_zone(a.time_zone))
  ) as u
  group by u.account_id, u.limit_id, u.window_start, u.scope_id
) as u
where coalesce(u.expected, '(0,0)') <> coalesce(u.actual, '(0,0)')

union all
-- A limit's counters of all time show what open holds that it counts have reserved, and the others
-- show nothing. The last part that changed a counter is at least the last one of those holds; it
-- belongs to a hold, open or not, that the limit counts there.
select
  'limits_equal_ledger' as invariant,
  u.account_id,
  format('%s, part %s to %s', u.held, u.least_part_id, u.most_part_id) as expected,
  format('%s, part %s', u.reserved, u.last_part_id) as actual,
  format('limit %s, window %s, %s, reserved', u.limit_id,
    replace(u.window_start::text, ' 00:00:00', ''), u.scope_id) as subject
from (
  select u.account_id, u.limit_id, u.window_start, u.scope_id, sum(u.held) as held,
    sum(u.reserved) as reserved, max(u.last_part_id) as last_part_id,
    coalesce(max(u.part_id) filter (where u.is_open), 0) as least_part_id,
    coalesce(max(u.part_id), 0) as most_part_id
  from (
    select h.account_id, l.limit_id, '-infinity'::timestamp as window_start,
      credits_private.limit_scope_id(l.scope, l.scope_id, l.pseudonyms,
        h.api_key_id, h.operation, h.run_id) as scope_id,
      case when h.state = 'open' then h.held else 0 end as held, 0 as reserved,
      0 as last_part_id, h.last_part_id as part_id, h.state = 'open' as is_open
    from credits_private.holds as h
    join credits_private.limits as l on l.account_id = h.account_id
    union all
    select c.account_id, c.limit_id, c.window_start, c.scope_id, 0 as held, c.reserved,
      c.last_part_id, null as part_id, null as is_open
    from credits_private.limit_counters as c
  ) as u
  where u.scope_id is not null
  group by u.account_id, u.limit_id, u.window_start, u.scope_id
) as u
where u.held <> u.reserved or u.last_part_id not between u.least_part_id and u.most_part_id

union all
-- Each counter belongs to a limit.
select
  'limits_equal_ledger' as invariant,
  c.account_id,
  'a limit' as expected,
  'none' as actual,
  format('limit %s, window %s, %s', c.limit_id, replace(c.window_start::text, ' 00:00:00', ''),
    c.scope_id) as subject
from credits_private.limit_counters as c
left join credits_private.limits as l on l.account_id = c.account_id and l.limit_id = c.limit_id
where l.limit_id is null;
