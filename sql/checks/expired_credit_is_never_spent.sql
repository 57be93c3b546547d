create or replace view credits_private.check_expired_credit_is_never_spent as
-- Nothing is drawn from a grant at or after its expiry, ...
select
  'expired_credit_is_never_spent' as invariant,
  e.account_id,
  format('before %s', g.expires_at) as expected,
  e.effective_at::text as actual,
  format('entry %s', e.entry_id) as subject
from credits_private.entries as e
join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
where e.kind not in ('expiry', 'capture', 'revocation') and e.effective_at >= g.expires_at

union all
-- ... except by captures of a hold, up to what the hold had reserved before the expiry.
select
  'expired_credit_is_never_spent' as invariant,
  e.account_id,
  format('at most %s', coalesce(p.amount, 0)) as expected,
  e.amount::text as actual,
  format('hold %s, grant %s', e.hold_id, e.grant_id) as subject
from (
  select e.account_id, e.hold_id, e.grant_id, -sum(e.amount) as amount
  from credits_private.entries as e
  join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
  where e.kind = 'capture' and e.effective_at >= g.expires_at
  group by e.account_id, e.hold_id, e.grant_id
) as e
left join (
  select p.account_id, p.hold_id, p.grant_id, sum(p.amount) as amount
  from credits_private.hold_parts as p
  join credits_private.grants as g on g.account_id = p.account_id and g.grant_id = p.grant_id
  where p.effective_at < g.expires_at
  group by p.account_id, p.hold_id, p.grant_id
) as p on p.account_id = e.account_id and p.hold_id = e.hold_id and p.grant_id = e.grant_id
where e.amount > coalesce(p.amount, 0);
