-- No moment of an account is before the one that it follows.
create or replace view credits_private.check_entries_never_run_back_in_time as
-- No entry is booked before it is due, and no time or period runs back from one entry to the
-- next. An entry that took effect after the first day of the next entry's period belongs to that
-- period as well: by then it had begun in every time zone.
select
  'entries_never_run_back_in_time' as invariant,
  e.account_id,
  case c.fault
    when 'booked early' then e.effective_at::text
    when 'effective_at' then e.previous_effective_at::text
    when 'period of the entry before' then e.period::text
    when 'created_at' then e.previous_created_at::text
    else e.previous_period::text
  end as expected,
  case c.fault
    when 'effective_at' then e.effective_at::text
    when 'period' then e.period::text
    when 'period of the entry before' then e.previous_period::text
    else e.created_at::text
  end as actual,
  format('entry %s', e.entry_id) as subject
from (
  select
    e.account_id,
    e.entry_id,
    e.effective_at,
    e.created_at,
    e.period,
    p.effective_at as previous_effective_at,
    p.created_at as previous_created_at,
    p.period as previous_period
  from credits_private.entries as e
  left join credits_private.entries as p
    on p.account_id = e.account_id and p.entry_id = e.entry_id - 1
  where e.created_at < e.effective_at or e.effective_at < p.effective_at
    or e.created_at < p.created_at or e.period <> p.period and (e.period < p.period
      or (p.effective_at at time zone 'UTC')::date > e.period)
) as e
-- With offset 0, only an entry with a fault is compared with each of them.
cross join lateral (
  select c.fault
  from (
    values ('booked early'), ('effective_at'), ('created_at'), ('period'),
      ('period of the entry before')
  ) as c (fault)
  where c.fault = 'booked early' and e.created_at < e.effective_at
    or c.fault = 'effective_at' and e.effective_at < e.previous_effective_at
    or c.fault = 'created_at' and e.created_at < e.previous_created_at
    or c.fault = 'period' and e.period < e.previous_period
    or c.fault = 'period of the entry before' and e.previous_period < e.period
      and (e.previous_effective_at at time zone 'UTC')::date > e.period
  offset 0
) as c

union all
-- Nothing that an account has was made before the account was opened or after its last moment,
-- and nothing new began after the account was closed.
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
-- An account was opened before it was closed, and neither is after its last moment.
select
  'entries_never_run_back_in_time' as invariant,
  a.account_id,
  format('between %s and %s', a.opened_at, a.last_created_at) as expected,
  a.closed_at::text as actual,
  'closed_at' as subject
from credits_private.accounts as a
where a.closed_at < a.opened_at or a.closed_at > a.last_created_at
  or a.opened_at > a.last_created_at;
