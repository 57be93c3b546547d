-- requires: private/period_entries.sql
--
-- Sums the entries of a period, and takes the opening and closing balance from its first and last
-- entry. That the sums lead from one to the other is a promise (invoice_equals_balance_delta), not
-- a definition. A sum beyond bigint shows as the largest bigint, so that one account cannot break
-- the view for the others. A period that has ended stays open until everything that was due in it
-- has been booked.
create or replace view credits.invoice as
select
  s.account_id,
  s.period,
  f.balance_after - f.amount as opening_balance,
  s.credits_granted,
  s.credits_used,
  s.credits_refunded,
  s.credits_expired,
  s.credits_revoked,
  l.balance_after as closing_balance,
  s.credits_used - s.credits_refunded as net_used,
  s.calls,
  s.period >= a.period
    and (clock_timestamp() < a.period_ends_at or a.due_at < a.period_ends_at and exists (
      select from credits_private.due as d
      where d.account_id = a.account_id and d.at < a.period_ends_at
        and (d.kind <> 'grant expires' or d.amount > 0))) as is_open
from (
  select
    e.account_id,
    e.period,
    min(e.entry_id) as first_entry_id,
    max(e.entry_id) as last_entry_id,
    least(coalesce(sum(e.amount) filter (where e.kind = 'grant'), 0),
      9223372036854775807)::bigint as credits_granted,
    least(coalesce(-sum(e.amount) filter (where e.kind in ('deduction', 'capture')), 0),
      9223372036854775807)::bigint as credits_used,
    least(coalesce(sum(e.amount) filter (where e.kind = 'refund'), 0),
      9223372036854775807)::bigint as credits_refunded,
    least(coalesce(-sum(e.amount) filter (where e.kind = 'expiry'), 0),
      9223372036854775807)::bigint as credits_expired,
    least(coalesce(-sum(e.amount) filter (where e.kind = 'revocation'), 0),
      9223372036854775807)::bigint as credits_revoked,
    count(*) filter (where e.entry_id = e.transaction_id
      and (e.kind = 'deduction' or coalesce(e.is_first, e.is_final))) as calls
  from credits_private.period_entries as e
  group by e.account_id, e.period
) as s
join credits_private.accounts as a on a.account_id = s.account_id
-- With offset 0, these entries are looked up one by one: joined at once, the whole ledger is read
-- once more for each.
cross join lateral (
  select f.balance_after, f.amount
  from credits_private.entries as f
  where f.account_id = s.account_id and f.entry_id = s.first_entry_id
  offset 0
) as f
cross join lateral (
  select l.balance_after
  from credits_private.entries as l
  where l.account_id = s.account_id and l.entry_id = s.last_entry_id
  offset 0
) as l;

comment on view credits.invoice is $comment$
One row per account and billing period in which something moved, summed from the ledger:
opening_balance + credits_granted - credits_used + credits_refunded - credits_expired -
credits_revoked = closing_balance. A period that is not open never changes again. Amounts are in
the account's smallest unit. Debt shows as a balance below zero; repaying it changes no figure.
$comment$;

comment on column credits.invoice.period is 'the period''s first local day';
comment on column credits.invoice.opening_balance is 'the balance before the period''s first entry';
comment on column credits.invoice.credits_granted is 'granted';
comment on column credits.invoice.credits_used is 'taken by deductions and captures';
comment on column credits.invoice.credits_refunded is 'given back by refunds';
comment on column credits.invoice.credits_expired is 'left unused when they expired';
comment on column credits.invoice.credits_revoked is
  'taken back by revocations, or booked as debt by them';
comment on column credits.invoice.closing_balance is 'the balance after the period''s last entry';
comment on column credits.invoice.net_used is 'credits_used - credits_refunded';
comment on column credits.invoice.calls is
  'deductions, and holds whose first capture was in the period';
comment on column credits.invoice.is_open is 'whether entries can still be added';
