-- What is wrong with accounts, as far as the rows that belong to them tell. For `discrepancies`, and
-- nobody else.
create or replace view credits_private.account_faults as
-- Whatever has an account's id belongs to an account, ...
select
  'every_change_has_an_entry' as invariant,
  r.account_id,
  'an account' as expected,
  'none' as actual,
  r.subject
from (
  select e.account_id, 'entries' as subject from credits_private.entries as e group by 1
  union all
  select g.account_id, 'grants' as subject from credits_private.grants as g group by 1
  union all
  select h.account_id, 'holds' as subject from credits_private.holds as h group by 1
  union all
  select p.account_id, 'parts of holds' as subject from credits_private.hold_parts as p group by 1
  union all
  select k.account_id, 'keys' as subject from credits_private.idempotency_keys as k group by 1
  union all
  select u.account_id, 'usage' as subject from credits_private.usage_counters as u group by 1
  union all
  select l.account_id, 'limits' as subject from credits_private.limits as l group by 1
  union all
  select c.account_id, 'counters of limits' as subject
  from credits_private.limit_counters as c
  group by 1
  union all
  select r.account_id, 'revocations' as subject from credits_private.revocations as r group by 1
  union all
  select f.account_id, 'failures' as subject from credits_private.settle_failures as f group by 1
  union all
  select s.account_id, 'settings of a period' as subject
  from credits_private.period_settings as s
  group by 1
) as r
left join credits_private.accounts as a on a.account_id = r.account_id
where a.account_id is null

union all
-- ... a revocation to a grant, ...
select
  'grants_equal_ledger' as invariant,
  r.account_id,
  'a grant' as expected,
  'none' as actual,
  format('revocations of grant %s', r.grant_id) as subject
from credits_private.revocations as r
left join credits_private.grants as g on g.account_id = r.account_id and g.grant_id = r.grant_id
where g.grant_id is null

union all
-- ... and what a limit has counted to a limit.
select
  'limits_equal_ledger' as invariant,
  c.account_id,
  'a limit' as expected,
  'none' as actual,
  format('limit %s, window %s, %s', c.limit_id, c.window_start, c.scope_id) as subject
from credits_private.limit_counters as c
left join credits_private.limits as l on l.account_id = c.account_id and l.limit_id = c.limit_id
where l.limit_id is null

union all
-- Grants and holds are numbered 1, 2, 3, ...
select
  'counters_change_only_with_the_ledger' as invariant,
  a.account_id,
  format('1 to %s', coalesce(r.last_id, 0)) as expected,
  format('%s, %s to %s', coalesce(r.rows, 0), r.first_id, r.last_id) as actual,
  r.subject
from credits_private.accounts as a
join (
  select g.account_id, 'grants' as subject, count(*) as rows, min(g.grant_id) as first_id,
    max(g.grant_id) as last_id
  from credits_private.grants as g
  group by 1
  union all
  select h.account_id, 'holds' as subject, count(*), min(h.hold_id), max(h.hold_id)
  from credits_private.holds as h
  group by 1
) as r on r.account_id = a.account_id
where r.first_id <> 1 or r.last_id <> r.rows

union all
-- An account's last moment is not before anything of it, its first not after, and nothing of a closed
-- one began after it was closed.
select
  'entries_never_run_back_in_time' as invariant,
  a.account_id,
  (a.opened_at, a.last_created_at, a.closed_at)::text as expected,
  (r.first_at, r.last_at, r.last_begun_at)::text as actual,
  r.subject
from credits_private.accounts as a
join (
  select g.account_id, 'grants' as subject, min(g.created_at) as first_at,
    max(g.created_at) as last_at,
    max(case when g.origin_grant_id is null then g.created_at end) as last_begun_at
  from credits_private.grants as g
  group by 1
  union all
  select h.account_id, 'holds' as subject, min(h.created_at),
    max(coalesce(h.resolved_at, h.created_at)), max(h.created_at)
  from credits_private.holds as h
  group by 1
  union all
  select p.account_id, 'parts of holds' as subject, min(p.created_at), max(p.created_at),
    null as last_begun_at
  from credits_private.hold_parts as p
  group by 1
  union all
  select r.account_id, 'revocations' as subject, min(r.created_at), max(r.created_at),
    null as last_begun_at
  from credits_private.revocations as r
  group by 1
  union all
  select e.account_id, 'deductions' as subject, min(e.created_at), max(e.created_at),
    max(e.created_at)
  from credits_private.entries as e
  where e.kind = 'deduction'
  group by 1
) as r on r.account_id = a.account_id
where a.opened_at > r.first_at or a.last_created_at < r.last_at or a.closed_at < r.last_begun_at

union all
select
  'entries_never_run_back_in_time' as invariant,
  a.account_id,
  format('between %s and %s', a.opened_at, a.last_created_at) as expected,
  a.closed_at::text as actual,
  'closed_at' as subject
from credits_private.accounts as a
where a.closed_at < a.opened_at or a.closed_at > a.last_created_at
  or a.opened_at > a.last_created_at

union all
-- The period of an account is the last one that an entry of it has, or a later one, and has not ended
-- at its last moment. It is cut by the account's settings, or by those that it had then. (One that was
-- cut before migration 0005 can end with the second of two midnights.)
select
  'available_is_spendable' as invariant,
  a.account_id,
  format('a period from %s on, cut by day %s in %s', coalesce(s.period, e.period),
    coalesce(s.anchor_day, a.anchor_day), coalesce(s.time_zone, a.time_zone)) as expected,
  format('%s to %s, that ends on %s', a.period, a.next_period, a.period_ends_at) as actual,
  'period' as subject
from credits_private.accounts as a
left join credits_private.entries as e
  on e.account_id = a.account_id and e.entry_id = a.last_entry_id
left join credits_private.period_settings as s on s.account_id = a.account_id
where a.period < e.period or a.next_period <= a.period or a.period_ends_at <= a.last_created_at
  or case
    when not isfinite(a.period) or not isfinite(a.next_period) then true
    when s.account_id is null then a.period <> credits_private.next_anchor(a.period - 1, a.anchor_day)
      or a.next_period <> credits_private.next_anchor(a.period, a.anchor_day)
      or credits_private.is_time_zone(a.time_zone) and a.period_ends_at not in (
        credits_private.midnight(a.next_period, a.time_zone),
        a.next_period::timestamp at time zone a.time_zone)
    when s.period is not null then a.period <> s.period
      or a.next_period <> credits_private.next_anchor(a.period, s.anchor_day)
      or credits_private.is_time_zone(s.time_zone) and a.period_ends_at not in (
        credits_private.midnight(a.next_period, s.time_zone),
        a.next_period::timestamp at time zone s.time_zone)
    else false
  end;

revoke all on credits_private.account_faults from public;
