-- Nothing that is due, and no grant with credits, is overlooked.
create or replace view credits_private.check_available_is_spendable as
-- An account is due no later than the end of its period, the start of a scheduled grant, the
-- expiry of a grant with free credits, and the expiry of an open hold.
select
  'available_is_spendable' as invariant,
  a.account_id,
  least(a.period_ends_at, g.due_at)::text as expected,
  a.due_at::text as actual,
  'due_at' as subject
from credits_private.accounts as a
left join (
  select d.account_id, min(d.due_at) as due_at
  from (
    select g.account_id, g.expires_at as due_at
    from credits_private.remainders as g
    where g.remaining > g.held
    union all
    select g.account_id, g.effective_at
    from credits_private.grants as g
    where g.is_scheduled
    union all
    select h.account_id, h.expires_at
    from credits_private.holds as h
    where h.state = 'open'
  ) as d
  group by d.account_id
) as g on g.account_id = a.account_id
where a.due_at > least(a.period_ends_at, g.due_at)

union all
-- A grant is open, and so is found by a deduction, exactly while something remains of it.
select
  'available_is_spendable' as invariant,
  g.account_id,
  (g.remaining > 0)::text as expected,
  g.is_open::text as actual,
  format('grant %s is open', g.grant_id) as subject
from credits_private.remainders as g
where g.is_open <> (g.remaining > 0)

union all
-- The period of an account is not before the period of its last entry, and ends after the
-- account's last moment. It was cut by the account's settings, or by the settings of that time
-- where they have changed since. (A period that was cut before migration 0005 may end at the
-- second of two midnights.)
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
    when s.account_id is null
      then a.period <> credits_private.next_anchor(a.period - 1, a.anchor_day)
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
