-- What is wrong with grants, as far as their entries, parts and revocations tell. For
-- `discrepancies`, and nobody else.
create or replace view credits_private.grant_faults as
-- A grant is a refund's where its first entry is one: of that moment, for 30 days, and otherwise as the
-- grant that it came from. Any other that began at once was made when its first entry was.
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
-- A grant names the last part of a hold that it is in.
select
  'counters_change_only_with_the_ledger' as invariant,
  g.account_id,
  coalesce(p.last_part_id, 0)::text as expected,
  g.last_part_id::text as actual,
  format('the last part of grant %s', g.grant_id) as subject
from credits_private.grants as g
left join (
  select p.account_id, p.grant_id, max(p.part_id) as last_part_id
  from credits_private.hold_parts as p
  where p.grant_id is not null
  group by p.account_id, p.grant_id
) as p on p.account_id = g.account_id and p.grant_id = g.grant_id
where g.last_part_id <> coalesce(p.last_part_id, 0)

union all
-- A scheduled grant is cancelled when its account is closed, or by the revocation that asked back all
-- of it. (Of revocations from before migration 0005, the moment is not known.)
select
  'every_change_has_an_entry' as invariant,
  g.account_id,
  coalesce(a.closed_at::text, 'the moment of a revocation') as expected,
  g.cancelled_at::text as actual,
  format('when grant %s was cancelled', g.grant_id) as subject
from credits_private.grants as g
join credits_private.accounts as a on a.account_id = g.account_id
where g.is_scheduled and g.cancelled_at is not null
  or g.cancelled_at is not null and g.cancelled_at is distinct from a.closed_at
  and (g.revoked < g.amount
    or not exists (
      select from credits_private.revocations as r
      where r.account_id = g.account_id and r.grant_id = g.grant_id
        and r.created_at = g.cancelled_at)
    and not exists (
      select from credits_private.idempotency_keys as k
      where k.account_id = g.account_id and k.answer ? 'outstanding'
        and not k.answer ? 'revocation_id' and k.answer ->> 'grant_id' = g.grant_id::text))

union all
-- The revocations of a grant are numbered 1, 2, 3, ...
select
  'grants_equal_ledger' as invariant,
  r.account_id,
  format('1 to %s', r.last_id) as expected,
  format('%s revocations, %s to %s', r.revocations, r.first_id, r.last_id) as actual,
  format('revocations of grant %s', r.grant_id) as subject
from (
  select r.account_id, r.grant_id, count(*) as revocations, min(r.revocation_id) as first_id,
    max(r.revocation_id) as last_id
  from credits_private.revocations as r
  group by r.account_id, r.grant_id
) as r
where r.first_id <> 1 or r.last_id <> r.revocations;

revoke all on credits_private.grant_faults from public;
