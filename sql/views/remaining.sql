-- Reads the balance, the open grants, the holds and the counters as they are, and the clock once:
-- right whether or not what is due has been settled.
create or replace view credits.remaining as
select
  a.account_id,
  a.unit,
  a.scale,
  a.balance,
  f.held,
  a.overdraft_limit,
  f.debt,
  f.available,
  f.scoped,
  u.credits_used,
  u.calls,
  p.period_start,
  case
    when p.period_start = a.period then a.next_period
    else credits_private.next_anchor(p.period_start, a.anchor_day)
  end as period_end,
  f.next_expiry_at,
  f.next_expiry_amount
from credits_private.accounts as a
cross join lateral (select clock_timestamp() as now) as c
cross join lateral (
  select credits_private.period_shown(
    c.now, a.period, a.next_period, a.period_ends_at, a.time_zone, a.anchor_day) as period_start
) as p
cross join lateral credits_private.figures(a.account_id, null, c.now) as f
cross join lateral (
  select
    least(coalesce(sum(u.credits_used), 0), 9223372036854775807)::bigint as credits_used,
    coalesce(sum(u.calls), 0)::bigint as calls
  from credits_private.usage_counters as u
  where u.account_id = a.account_id and u.period = p.period_start
) as u;

comment on view credits.remaining is $comment$
What an account has, now: one row per account, right whether or not what is due has been settled.
`available` is what a deduction that names no operation may take; `scoped` is what only certain
operations may. The balance is the sum of the account's entries: credits leave it, and scheduled
ones enter it, when that is settled; `held`, `debt`, `available` and `scoped` change at the instant.
Usage is of the current billing period, read from the counters. Amounts are in the account's
smallest unit.
$comment$;

comment on column credits.remaining.unit is 'what the account counts';
comment on column credits.remaining.scale is 'decimal places to show amounts with';
comment on column credits.remaining.balance is 'the sum of the account''s entries';
comment on column credits.remaining.held is 'reserved by open holds';
comment on column credits.remaining.overdraft_limit is
  'how far into debt the account may go';
comment on column credits.remaining.debt is
  'what is owed: the part of the overdraft, or of a revocation, that is not repaid';
comment on column credits.remaining.available is 'what a deduction without operation may take';
comment on column credits.remaining.scoped is 'what only certain operations may take';
comment on column credits.remaining.credits_used is
  'deducted and captured in the current period, refunds not subtracted';
comment on column credits.remaining.calls is
  'deductions in the current period, and holds captured for the first time in it';
comment on column credits.remaining.period_start is
  'its first local day; null where the server no longer has the account''s time zone';
comment on column credits.remaining.period_end is 'the next period''s first local day';
comment on column credits.remaining.next_expiry_at is 'when free credits expire next';
comment on column credits.remaining.next_expiry_amount is 'how many expire then';
