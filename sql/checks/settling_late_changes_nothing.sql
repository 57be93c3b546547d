-- What became due has the moment at which it was due, however late it was booked.
create or replace view credits_private.check_settling_late_changes_nothing as
-- Credits expire at their grant's expiry, or at the moment at which a hold lets go of them.
select
  'settling_late_changes_nothing' as invariant,
  e.account_id,
  g.expires_at::text as expected,
  e.effective_at::text as actual,
  format('entry %s', e.entry_id) as subject
from credits_private.entries as e
join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
left join (
  select p.account_id, p.grant_id, p.effective_at
  from credits_private.hold_parts as p
  where p.amount < 0
  group by p.account_id, p.grant_id, p.effective_at
) as p
  on p.account_id = e.account_id and p.grant_id = e.grant_id and p.effective_at = e.effective_at
where e.kind = 'expiry' and e.effective_at is distinct from g.expires_at
  and (e.effective_at <= g.expires_at or p.account_id is null)

union all
-- A scheduled grant begins at its effective moment.
select
  'settling_late_changes_nothing' as invariant,
  e.account_id,
  g.effective_at::text as expected,
  e.effective_at::text as actual,
  format('entry %s', e.entry_id) as subject
from credits_private.entries as e
join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
where e.kind = 'grant' and g.effective_at > g.created_at and e.effective_at <> g.effective_at

union all
-- A hold expires at its expiry.
select
  'settling_late_changes_nothing' as invariant,
  h.account_id,
  h.expires_at::text as expected,
  h.resolved_at::text as actual,
  format('hold %s', h.hold_id) as subject
from credits_private.holds as h
where h.state = 'expired' and h.resolved_at is distinct from h.expires_at;
