-- requires: private/remainders.sql
--
-- Reads the balance, the grants, the holds and the counters as they are, and the clock once. The
-- figures are right whether or not what is due has been settled.
--
-- While nothing is due, as after every call, they are columns of the account's row: all that the
-- grants have free is balance + debt - (held - overdraft_held), and only grants that are scoped or
-- expire are looked at. Only an account on which something is due asks figures, which takes longer
-- than all the rest. (With offset 0, the function is not called where the condition is false.)
-- Every subquery is lateral, so that a join with the app's own table reads the accounts that it
-- finds, and no others.
create or replace view credits.remaining as
select
  a.account_id,
  a.unit,
  a.scale,
  a.balance,
  case when a.due_at > c.now then a.held else f.held end as held,
  a.overdraft_limit,
  case when a.due_at > c.now then a.debt else f.debt end as debt,
  case
    when a.due_at <= c.now then f.available
    when a.closed_at is not null then 0
    -- 2^53 - 1 is the most that a call can take.
    else least(9007199254740991, a.balance + a.debt - (a.held - a.overdraft_held)
      - coalesce(g.scoped, 0) + greatest(0, a.overdraft_limit - a.debt - a.overdraft_held))::bigint
  end as available,
  case when a.due_at > c.now then coalesce(g.scoped, 0) else f.scoped end as scoped,
  coalesce(u.credits_used, 0) as credits_used,
  coalesce(u.calls, 0) as calls,
  p.period_start,
  case
    when p.period_start = a.period then a.next_period
    else credits_private.next_anchor(p.period_start, a.anchor_day)
  end as period_end,
  case when a.due_at > c.now then g.next_expiry_at else f.next_expiry_at end as next_expiry_at,
  case when a.due_at > c.now then g.next_expiry_amount else f.next_expiry_amount
  end as next_expiry_amount
from credits_private.accounts as a
cross join lateral (select clock_timestamp() as now) as c
cross join lateral (
  select case
    when c.now < a.period_ends_at then a.period
    else credits_private.period_shown(
      c.now, a.period, a.next_period, a.period_ends_at, a.time_zone, a.anchor_day)
  end as period_start
) as p
left join lateral (
  select
    least(coalesce(sum(w.free) filter (where w.operations is not null), 0),
      9223372036854775807)::bigint as scoped,
    min(w.expires_at) as next_expiry_at,
    case when min(w.expires_at) is not null then least(
      sum(w.free) filter (where w.expires_at = w.next_expiry_at),
      9223372036854775807)::bigint end as next_expiry_amount
  from (
    select g.account_id, g.operations, g.expires_at, g.remaining - g.held as free,
      min(g.expires_at) over () as next_expiry_at
    from credits_private.remainders as g
    where g.account_id = a.account_id and g.is_open and g.remaining > g.held
      and (g.operations is not null or g.expires_at is not null)
  ) as w
  where a.due_at > c.now
  group by w.account_id
) as g on true
left join lateral (
  select f.held, f.debt, f.available, f.scoped, f.next_expiry_at, f.next_expiry_amount
  from credits_private.figures(a.account_id, null, c.now) as f
  where a.due_at <= c.now
  offset 0
) as f on true
left join lateral (
  select
    least(sum(u.credits_used), 9223372036854775807)::bigint as credits_used,
    sum(u.calls)::bigint as calls
  from credits_private.usage_counters as u
  where u.account_id = a.account_id and u.period = p.period_start
  group by u.account_id
) as u on true;

comment on view credits.remaining is $comment$
What an account has now. One row per account, right whether or not what is due has been settled.
`available` is what a deduction that names no operation may take; `scoped` is what only certain
operations may take. `balance` is the sum of the account's entries, so expired credits leave it, and
scheduled credits enter it, when they are settled; `held`, `debt`, `available` and `scoped` change
at the very instant. `credits_used` and `calls` are those of the current billing period, read from
the counters. Amounts are in the account's smallest unit.
$comment$;

comment on column credits.remaining.unit is
  'what the account counts, such as ''credit'' or ''usd''';
comment on column credits.remaining.scale is 'how many decimal places amounts are shown with';
comment on column credits.remaining.balance is 'the sum of the account''s entries';
comment on column credits.remaining.held is 'reserved by open holds';
comment on column credits.remaining.overdraft_limit is
  'how far into debt the account may go';
comment on column credits.remaining.debt is
  'what is owed: what deductions or revocations took beyond the grants, and nothing has repaid yet';
comment on column credits.remaining.available is
  'what a deduction that names no operation may take';
comment on column credits.remaining.scoped is 'what only certain operations may take';
comment on column credits.remaining.credits_used is
  'deducted and captured in the current period; refunds are not subtracted';
comment on column credits.remaining.calls is
  'deductions in the current period, and holds whose first capture was in it';
comment on column credits.remaining.period_start is
  'the first local day of the period; null if the server no longer knows the account''s zone';
comment on column credits.remaining.period_end is 'the first local day of the next period';
comment on column credits.remaining.next_expiry_at is
  'when free credits expire next; null where none do';
comment on column credits.remaining.next_expiry_amount is 'how many credits expire then';
