-- What the ledger says about limits, for the checks alone: each entry that spends or gives back,
-- with each limit that it counts under, and the window in which it counts. A refund counts in the
-- window of its original. If the server no longer knows the account's time zone, no hour, day or
-- week can be computed.
create or replace view credits_private.limit_uses as
select
  l.account_id,
  l.limit_id,
  l.ceiling,
  l.overage,
  l.set_entry_id,
  credits_private.limit_window_start(
    l.limit_window, o.period, o.effective_at, a.time_zone) as window_start,
  credits_private.limit_scope_id(l.scope, l.scope_id, l.pseudonyms,
    e.api_key_id, e.operation, e.run_id) as scope_id,
  e.entry_id,
  e.kind,
  e.amount,
  l.counts_from
from credits_private.limits as l
join credits_private.accounts as a
  on a.account_id = l.account_id
  and (l.limit_window in ('period', 'total') or credits_private.is_time_zone(a.time_zone))
join credits_private.entries as e
  on e.account_id = l.account_id and e.kind in ('deduction', 'capture', 'refund')
join credits_private.entries as o
  on o.account_id = e.account_id and o.entry_id = coalesce(e.refunded_entry_id, e.entry_id)
where credits_private.limit_scope_id(l.scope, l.scope_id, l.pseudonyms,
  e.api_key_id, e.operation, e.run_id) is not null;
