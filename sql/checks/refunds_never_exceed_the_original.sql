-- A refund gives back to where the credits came from, and no more than that.
create or replace view credits_private.check_refunds_never_exceed_the_original as
-- Refunds of an entry give back no more than the entry took.
select
  'refunds_never_exceed_the_original' as invariant,
  r.account_id,
  format('at most %s', coalesce(-e.amount, 0)) as expected,
  r.amount::text as actual,
  format('entry %s', r.refunded_entry_id) as subject
from (
  select e.account_id, e.refunded_entry_id, sum(e.amount) as amount
  from credits_private.entries as e
  where e.refunded_entry_id is not null
  group by e.account_id, e.refunded_entry_id
) as r
left join lateral (
  select e.amount
  from credits_private.entries as e
  where e.account_id = r.account_id and e.entry_id = r.refunded_entry_id
    and e.kind in ('deduction', 'capture')
  offset 0
) as e on true
where r.amount > coalesce(-e.amount, 0)

union all
-- Refunds to a grant that had repaid debt give back no more than it had repaid.
select
  'refunds_never_exceed_the_original' as invariant,
  r.account_id,
  format('at most %s', coalesce(-e.amount, 0)) as expected,
  r.amount::text as actual,
  format('repayment %s', r.repaid_entry_id) as subject
from (
  select e.account_id, e.repaid_entry_id, sum(e.amount) as amount
  from credits_private.entries as e
  where e.repaid_entry_id is not null
  group by e.account_id, e.repaid_entry_id
) as r
left join lateral (
  select e.amount
  from credits_private.entries as e
  where e.account_id = r.account_id and e.entry_id = r.repaid_entry_id and e.kind = 'repay'
  offset 0
) as e on true
where r.amount > coalesce(-e.amount, 0)

union all
-- A refund names the entry that it gives back, and the transaction of that entry. No other entry
-- names any.
select
  'refunds_never_exceed_the_original' as invariant,
  e.account_id,
  case when e.kind = 'refund' then 'an entry, and its transaction' else 'nothing' end as expected,
  format('entry %s, transaction %s', coalesce(e.refunded_entry_id::text, '-'),
    coalesce(e.refunded_transaction_id::text, '-')) as actual,
  format('what entry %s gives back', e.entry_id) as subject
from credits_private.entries as e
-- With offset 0, originals are looked up one by one, here and below: joined at once, the whole
-- ledger is read for them.
left join lateral (
  select o.transaction_id
  from credits_private.entries as o
  where o.account_id = e.account_id and o.entry_id = e.refunded_entry_id
  offset 0
) as o on true
where (e.kind = 'refund' or e.refunded_entry_id is not null
    or e.refunded_transaction_id is not null)
  and (e.kind = 'refund' and o.transaction_id = e.refunded_transaction_id) is not true

union all
-- A refund goes to the grant that was drawn on, or to the grant that an earlier refund made of
-- it. What had been debt lowers the debt, or goes to the grant that has repaid it.
select
  'refunds_never_exceed_the_original' as invariant,
  e.account_id,
  coalesce(format('grant %s', coalesce(s.origin_grant_id, s.grant_id)), 'debt') as expected,
  coalesce(format('grant %s', coalesce(g.origin_grant_id, g.grant_id)), 'debt') as actual,
  format('where entry %s gives back', e.entry_id) as subject
from credits_private.entries as e
cross join lateral (
  select o.grant_id
  from credits_private.entries as o
  where o.account_id = e.account_id and o.entry_id = e.refunded_entry_id
  offset 0
) as o
left join lateral (
  select p.grant_id
  from credits_private.entries as p
  where p.account_id = e.account_id and p.entry_id = e.repaid_entry_id
    and p.entry_id < e.entry_id
  offset 0
) as p on true
left join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
left join credits_private.grants as s
  on s.account_id = e.account_id and s.grant_id = coalesce(o.grant_id, p.grant_id)
where e.refunded_entry_id is not null
  and ((e.grant_id is null) <> (s.grant_id is null)
    or coalesce(g.origin_grant_id, g.grant_id) <> coalesce(s.origin_grant_id, s.grant_id)
    or (e.repaid_entry_id is not null) <> (o.grant_id is null and e.grant_id is not null));
