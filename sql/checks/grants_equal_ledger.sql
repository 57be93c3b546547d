-- What a grant says of itself agrees with its entries and its revocations.
create or replace view credits_private.check_grants_equal_ledger as
-- What remains of a grant is the sum of its entries.
select
  'grants_equal_ledger' as invariant,
  g.account_id,
  g.amount::text as expected,
  g.remaining::text as actual,
  format('grant %s', g.grant_id) as subject
from (
  select g.account_id, g.grant_id, coalesce(sum(g.amount), 0) as amount,
    max(g.remaining) as remaining
  from (
    select g.account_id, g.grant_id, g.remaining, null::numeric as amount
    from credits_private.remainders as g
    union all
    select e.account_id, e.grant_id, null as remaining, sum(e.amount) as amount
    from credits_private.entries as e
    where e.grant_id is not null
    group by e.account_id, e.grant_id
  ) as g
  group by g.account_id, g.grant_id
) as g
where g.remaining is distinct from g.amount

union all
-- What was taken back from a grant is the sum of the entries that revoke it.
select
  'grants_equal_ledger' as invariant,
  g.account_id,
  coalesce(e.amount, 0)::text as expected,
  g.taken::text as actual,
  format('grant %s taken', g.grant_id) as subject
from credits_private.grants as g
left join (
  select e.account_id, e.revoked_grant_id, -sum(e.amount) as amount
  from credits_private.entries as e
  where e.revoked_grant_id is not null
  group by e.account_id, e.revoked_grant_id
) as e on e.account_id = g.account_id and e.revoked_grant_id = g.grant_id
where g.taken <> coalesce(e.amount, 0)

union all
-- What was asked back from a grant is the sum of its revocations.
select
  'grants_equal_ledger' as invariant,
  g.account_id,
  coalesce(r.amount, 0)::text as expected,
  g.revoked::text as actual,
  format('grant %s revoked', g.grant_id) as subject
from credits_private.grants as g
left join (
  select r.account_id, r.grant_id, sum(r.amount) as amount
  from credits_private.revocations as r
  group by r.account_id, r.grant_id
) as r on r.account_id = g.account_id and r.grant_id = g.grant_id
where g.revoked <> coalesce(r.amount, 0)

union all
-- Each revocation belongs to a grant.
select
  'grants_equal_ledger' as invariant,
  r.account_id,
  'a grant' as expected,
  'none' as actual,
  format('revocations of grant %s', r.grant_id) as subject
from credits_private.revocations as r
left join credits_private.grants as g on g.account_id = r.account_id and g.grant_id = r.grant_id
where g.grant_id is null

union all
-- A revocation takes credits from the grant that it names, or from a grant that a refund made of
-- it.
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
where r.first_id <> 1 or r.last_id <> r.revocations

union all
-- While a head is up, it is the first unscoped grant in burn-down order, and the account's figures
-- say where its free part ends, what is available, and which operations may draw on other grants.
-- While none is up, they say so.
select
  'grants_equal_ledger' as invariant,
  a.account_id,
  case
    when a.head_grant_id is null then '(,,9007199254740992,0,)'
    else (g.grant_id, a.head_balance, a.balance - g.free,
      g.available + o.overdraft - a.balance, s.operations)::text
  end as expected,
  (a.head_grant_id, a.head_balance, a.plain_above, a.available_above, a.scoped_operations)::text
    as actual,
  'head' as subject
from credits_private.accounts as a
cross join lateral (
  select greatest(0, a.overdraft_limit - a.debt - a.overdraft_held) as overdraft
) as o
left join lateral (
  select
    (array_agg(g.grant_id order by g.priority, g.expires_at nulls last, g.source = 'purchase',
      g.effective_at, g.grant_id))[1] as grant_id,
    sum(g.remaining - g.held) filter (where g.grant_id = a.head_grant_id) as free,
    sum(g.remaining - g.held) as available
  from credits_private.remainders as g
  where g.account_id = a.account_id and g.is_open and g.operations is null
    and coalesce(g.expires_at > a.last_created_at, true)
  group by g.account_id
) as g on a.head_grant_id is not null
left join lateral (
  select array_agg(distinct o.operation collate "C") as operations
  from credits_private.grants as g
  cross join unnest(g.operations) as o (operation)
  where g.account_id = a.account_id and g.is_open
  group by g.account_id
) as s on a.head_grant_id is not null
where case
  when a.head_grant_id is null then a.plain_above <> 9007199254740992 or a.available_above <> 0
    or num_nonnulls(a.head_balance, a.scoped_operations) > 0
  else (a.head_grant_id, a.plain_above, a.available_above, a.scoped_operations)::text
    <> (g.grant_id, a.balance - g.free, g.available + o.overdraft - a.balance, s.operations)::text
end;
