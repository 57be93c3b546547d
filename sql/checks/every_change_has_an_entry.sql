-- Whatever an account has goes back to a call.
create or replace view credits_private.check_every_change_has_an_entry as
-- A grant received all of its credits by its first entry.
select
  'every_change_has_an_entry' as invariant,
  g.account_id,
  g.amount::text as expected,
  coalesce(e.amount, 0)::text as actual,
  format('grant %s', g.grant_id) as subject
from credits_private.grants as g
left join (
  select e.account_id, e.grant_id, min(e.entry_id) as first_entry_id
  from credits_private.entries as e
  group by e.account_id, e.grant_id
) as f on f.account_id = g.account_id and f.grant_id = g.grant_id
-- Looked up one by one: joined at once, the whole ledger is read.
left join lateral (
  select e.amount
  from credits_private.entries as e
  where e.account_id = f.account_id and e.entry_id = f.first_entry_id
  offset 0
) as e on true
where case
  when g.is_scheduled or g.cancelled_at is not null then e.amount is not null
  else g.amount is distinct from e.amount
end

union all
-- Every row with an account's id belongs to an account.
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
-- A grant whose first entry is a refund was made by that refund: at its moment, for 30 days, and
-- otherwise like the grant that the credits came from. Any other grant that began at once was
-- made at the moment of its first entry.
select
  'every_change_has_an_entry' as invariant,
  g.account_id,
  (e.created_at, r.expires_at, r.origin_grant_id, r.priority, r.operations)::text as expected,
  (g.created_at, g.expires_at, g.origin_grant_id, g.priority, g.operations)::text as actual,
  format('grant %s', g.grant_id) as subject
from credits_private.grants as g
left join (
  select e.account_id, e.grant_id, min(e.entry_id) as entry_id
  from credits_private.entries as e
  where e.grant_id is not null
  group by e.account_id, e.grant_id
) as f on f.account_id = g.account_id and f.grant_id = g.grant_id
-- Looked up one by one: joined at once, without statistics, they are read in all combinations.
left join lateral (
  select e.account_id, e.kind, e.created_at, e.refunded_entry_id, e.repaid_entry_id
  from credits_private.entries as e
  where e.account_id = f.account_id and e.entry_id = f.entry_id
  offset 0
) as e on true
left join lateral (
  select e.created_at + interval '720 hours' as expires_at,
    coalesce(s.origin_grant_id, s.grant_id) as origin_grant_id, s.priority, s.operations
  from credits_private.entries as o
  left join credits_private.entries as p
    on p.account_id = e.account_id and p.entry_id = e.repaid_entry_id
  join credits_private.grants as s
    on s.account_id = e.account_id and s.grant_id = coalesce(o.grant_id, p.grant_id)
  where e.kind = 'refund' and o.account_id = e.account_id and o.entry_id = e.refunded_entry_id
  offset 0
) as r on true
where case
  when e.kind = 'refund' then (g.created_at is distinct from e.created_at
      or g.effective_at is distinct from e.created_at
      or g.expires_at is distinct from r.expires_at
      or g.origin_grant_id is distinct from r.origin_grant_id
      or g.priority is distinct from r.priority
      or g.operations is distinct from r.operations
      or g.source is distinct from 'refund')
    or coalesce(g.paid_amount::text, g.paid_currency) is not null
  else g.origin_grant_id is not null
    or g.effective_at <= g.created_at and g.created_at <> e.created_at
end

union all
-- A scheduled grant is cancelled at the moment at which its account is closed, or by the
-- revocation that asked back all of it. (The moments of revocations from before migration 0005
-- are not known.)
select
  'every_change_has_an_entry' as invariant,
  g.account_id,
  coalesce(a.closed_at::text, 'the moment of a revocation') as expected,
  g.cancelled_at::text as actual,
  format('when grant %s was cancelled', g.grant_id) as subject
from credits_private.grants as g
join credits_private.accounts as a on a.account_id = g.account_id
-- With offset 0, rows are looked up one by one: without it, those of all accounts may be read.
where g.is_scheduled and g.cancelled_at is not null
  or g.cancelled_at is not null and g.cancelled_at is distinct from a.closed_at
  and (g.revoked < g.amount
    or not exists (
      select from credits_private.revocations as r
      where r.account_id = g.account_id and r.grant_id = g.grant_id
        and r.created_at = g.cancelled_at
      offset 0)
    and not exists (
      select from credits_private.idempotency_keys as k
      where k.account_id = g.account_id and k.answer ? 'outstanding'
        and not k.answer ? 'revocation_id' and k.answer ->> 'grant_id' = g.grant_id::text
      offset 0));
