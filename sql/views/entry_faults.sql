-- What is wrong with entries, as far as an entry's own columns, its transaction and the rows that it
-- names tell. For `discrepancies`, and nobody else.
create or replace view credits_private.entry_faults as
-- An entry has what its kind has, and nothing else.
select
  'entries_are_immutable' as invariant,
  e.account_id,
  'what its kind has' as expected,
  e.kind as actual,
  format('entry %s', e.entry_id) as subject
from credits_private.entries as e
where (
  case e.kind
    when 'grant' then e.amount > 0 and e.grant_id is not null
    when 'deduction' then e.amount < 0
    when 'capture' then e.amount < 0
    when 'refund' then e.amount > 0
    when 'expiry' then e.amount < 0 and e.grant_id is not null
    when 'revocation' then e.amount < 0 or e.grant_id is null
    when 'repay' then (e.amount > 0) = (e.grant_id is null)
  end
  and e.amount <> 0
  and (e.kind = 'capture') = (e.hold_id is not null)
  and (e.kind = 'capture') = (e.is_final is not null)
  and (e.kind = 'capture' or e.is_first is null)
  and (e.kind = 'revocation') = (e.revoked_grant_id is not null)
  and (e.kind = 'refund' or e.repaid_entry_id is null)
  and (e.kind = 'deduction' or e.statement_entries is null)
  and (e.kind = 'deduction' and e.entry_id = e.transaction_id or e.available is null)
  and (e.kind in ('deduction', 'capture', 'refund')
    or coalesce(e.api_key_id, e.operation, e.run_id) is null)
  and coalesce(e.api_key_id, '-') <> '' and coalesce(e.operation, '-') <> ''
  and coalesce(e.run_id, '-') <> '' and coalesce(e.idempotency_key, '-') <> ''
  and (e.entry_id = e.transaction_id or e.idempotency_key is null)
  -- What was asked for takes effect when it is booked.
  and (e.created_at = e.effective_at or e.idempotency_key is null
    and e.kind not in ('deduction', 'capture', 'refund'))
) is not true

union all
-- The entries of a transaction follow each other, and are numbered by the first of them, ...
select
  'entries_are_gapless' as invariant,
  t.account_id,
  format('entries %s to %s', t.transaction_id, t.transaction_id + t.entry_count - 1) as expected,
  format('%s entries, %s to %s', t.entries, t.first_entry_id, t.last_entry_id) as actual,
  format('transaction %s', t.transaction_id) as subject
from (
  select e.account_id, e.transaction_id, e.entry_count, count(*) as entries,
    min(e.entry_id) as first_entry_id, max(e.entry_id) as last_entry_id
  from credits_private.entries as e
  group by e.account_id, e.transaction_id, e.entry_count
) as t
where t.first_entry_id <> t.transaction_id or t.entries <> t.entry_count
  or t.last_entry_id <> t.transaction_id + t.entry_count - 1

union all
-- ... with which the others share all that a transaction has once.
select
  'entries_are_immutable' as invariant,
  e.account_id,
  format('what entry %s has', t.entry_id) as expected,
  e.kind as actual,
  format('entry %s', e.entry_id) as subject
from credits_private.entries as e
join credits_private.entries as t
  on t.account_id = e.account_id and t.entry_id = e.transaction_id
where e.entry_id <> e.transaction_id
  and (e.kind is distinct from t.kind or e.effective_at is distinct from t.effective_at
      or e.created_at is distinct from t.created_at
      or e.period is distinct from t.period
      or e.api_key_id is distinct from t.api_key_id
      or e.operation is distinct from t.operation or e.run_id is distinct from t.run_id
      or e.hold_id is distinct from t.hold_id or e.is_final is distinct from t.is_final
      or e.is_first is distinct from t.is_first
      or e.revoked_grant_id is distinct from t.revoked_grant_id
      or e.refunded_transaction_id is distinct from t.refunded_transaction_id)

union all
-- Entries that one statement wrote are counted on the first of them: two at least.
select
  'entries_are_gapless' as invariant,
  s.account_id,
  format('%s entries', s.statement_entries) as expected,
  format('%s entries', s.entries) as actual,
  format('the statement that wrote entry %s', coalesce(s.first_entry_id, s.entry_id)) as subject
from (
  select s.account_id, s.first_entry_id, max(s.statement_entries) as statement_entries,
    count(*) as entries, min(s.entry_id) as entry_id, max(s.entry_id) as last_entry_id
  from (
    select e.account_id, e.entry_id, e.statement_entries,
      max(case when e.statement_entries > 0 then e.entry_id end)
        over (partition by e.account_id order by e.entry_id) as first_entry_id
    from credits_private.entries as e
    where e.statement_entries is not null
  ) as s
  group by s.account_id, s.first_entry_id
) as s
where s.first_entry_id is null or s.entries < 2 or s.entries <> s.statement_entries
  or s.last_entry_id <> s.first_entry_id + s.entries - 1

union all
-- What is taken back of a grant is taken from it, or from what a refund made of it.
select
  'grants_equal_ledger' as invariant,
  e.account_id,
  format('grant %s', coalesce(g.origin_grant_id, g.grant_id)) as expected,
  format('grant %s', e.revoked_grant_id) as actual,
  format('what entry %s takes back', e.entry_id) as subject
from credits_private.entries as e
join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
where e.revoked_grant_id <> coalesce(g.origin_grant_id, g.grant_id)

union all
-- What is given back goes where it came from: to the grant, or what a refund made of it; of debt, off
-- the debt, or to the grant that had repaid it.
select
  'refunds_never_exceed_the_original' as invariant,
  e.account_id,
  coalesce(format('grant %s', coalesce(s.origin_grant_id, s.grant_id)), 'debt') as expected,
  coalesce(format('grant %s', coalesce(g.origin_grant_id, g.grant_id)), 'debt') as actual,
  format('where entry %s gives back', e.entry_id) as subject
from credits_private.entries as e
join credits_private.entries as o
  on o.account_id = e.account_id and o.entry_id = e.refunded_entry_id
left join credits_private.entries as p
  on p.account_id = e.account_id and p.entry_id = e.repaid_entry_id and p.entry_id < e.entry_id
left join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
left join credits_private.grants as s
  on s.account_id = e.account_id and s.grant_id = coalesce(o.grant_id, p.grant_id)
where (e.grant_id is null) <> (s.grant_id is null)
  or coalesce(g.origin_grant_id, g.grant_id) <> coalesce(s.origin_grant_id, s.grant_id)
  or (e.repaid_entry_id is not null) <> (o.grant_id is null and e.grant_id is not null)

union all
-- A capture is for what its hold is for, and a refund for what its original was for.
select
  'usage_equals_ledger' as invariant,
  e.account_id,
  (o.api_key_id, o.operation, o.run_id)::text as expected,
  (e.api_key_id, e.operation, e.run_id)::text as actual,
  format('what entry %s is for', e.entry_id) as subject
from credits_private.entries as e
join (
  select h.account_id, h.hold_id as id, 'capture' as kind, h.api_key_id, h.operation, h.run_id
  from credits_private.holds as h
  union all
  select o.account_id, o.entry_id, 'refund' as kind, o.api_key_id, o.operation, o.run_id
  from credits_private.entries as o
) as o
  on o.account_id = e.account_id and o.kind = e.kind
  and o.id = coalesce(e.hold_id, e.refunded_transaction_id)
where e.kind in ('capture', 'refund')
  and (o.api_key_id is distinct from e.api_key_id or o.operation is distinct from e.operation
      or o.run_id is distinct from e.run_id)

union all
-- Since captures say which is their hold's first, all do.
select
  'usage_equals_ledger' as invariant,
  e.account_id,
  'whether it is its hold''s first' as expected,
  null as actual,
  format('entry %s', e.entry_id) as subject
from credits_private.entries as e
join (
  select e.account_id, min(e.entry_id) as first_entry_id
  from credits_private.entries as e
  where e.is_first is not null
  group by e.account_id
) as f on f.account_id = e.account_id and f.first_entry_id < e.entry_id
where e.kind = 'capture' and e.is_first is null;

revoke all on credits_private.entry_faults from public;
