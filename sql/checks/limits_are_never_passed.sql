-- requires: views/limit_uses.sql
--
-- No deduction passed a limit that had been set before it.
create or replace view credits_private.check_limits_are_never_passed as
select
  'limits_are_never_passed' as invariant,
  u.account_id,
  format('at most %s', u.most) as expected,
  u.spent::text as actual,
  format('limit %s, entry %s', u.limit_id, u.entry_id) as subject
from (
  select u.account_id, u.limit_id, u.entry_id, u.kind, u.set_entry_id,
    u.ceiling + u.overage as most,
    -sum(u.amount) over (partition by u.account_id, u.limit_id, u.window_start, u.scope_id
      order by u.entry_id) as spent
  from credits_private.limit_uses as u
) as u
where u.kind = 'deduction' and u.entry_id > u.set_entry_id and u.spent > u.most;
