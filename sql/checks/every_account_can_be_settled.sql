create or replace view credits_private.check_every_account_can_be_settled as
-- No account has failed to settle, ...
select
  'every_account_can_be_settled' as invariant,
  f.account_id,
  format('settled on %s', f.failed_at) as expected,
  format('%s: %s', f.error_code, f.error_message) as actual,
  format('failed %s times, next on %s', f.failures, f.retry_at) as subject
from credits_private.settle_failures as f

union all
-- ... or would fail because the server does not know its time zone, ...
select
  'every_account_can_be_settled' as invariant,
  a.account_id,
  'a time zone that the server knows' as expected,
  a.time_zone as actual,
  'time zone' as subject
from credits_private.accounts as a
where not credits_private.is_time_zone(a.time_zone)

union all
-- ... or because something is due before what has been booked.
select
  'every_account_can_be_settled' as invariant,
  a.account_id,
  format('on or after %s', a.last_effective_at) as expected,
  d.due_at::text as actual,
  d.subject
from credits_private.accounts as a
join (
  select g.account_id, g.expires_at as due_at, format('grant %s expires', g.grant_id) as subject
  from credits_private.remainders as g
  where g.is_open and g.remaining > g.held
  union all
  select g.account_id, g.effective_at, format('grant %s begins', g.grant_id)
  from credits_private.remainders as g
  where g.is_scheduled
  union all
  select h.account_id, h.expires_at, format('hold %s expires', h.hold_id)
  from credits_private.holds as h
  where h.state = 'open'
) as d on d.account_id = a.account_id
where d.due_at < a.last_effective_at;
