-- requires: views/limit_uses.sql
--
create or replace view credits_private.check_limits_equal_ledger as
-- In each window since a limit was set, its counters show what the ledger shows.
select
  'limits_equal_ledger' as invariant,
  u.account_id,
  coalesce(u.expected, '(,)') as expected,
  coalesce(u.actual, '(,)') as actual,
  format('limit %s, window %s, %s', u.limit_id, u.window_start, u.scope_id) as subject
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
      and (l.limit_window <> 'day' or credits_private.is_time_zone(a.time_zone))
  ) as u
  group by u.account_id, u.limit_id, u.window_start, u.scope_id
) as u
where coalesce(u.expected, '(0,0)') <> coalesce(u.actual, '(0,0)')

union all
-- Each counter belongs to a limit.
select
  'limits_equal_ledger' as invariant,
  c.account_id,
  'a limit' as expected,
  'none' as actual,
  format('limit %s, window %s, %s', c.limit_id, c.window_start, c.scope_id) as subject
from credits_private.limit_counters as c
left join credits_private.limits as l on l.account_id = c.account_id and l.limit_id = c.limit_id
where l.limit_id is null;
