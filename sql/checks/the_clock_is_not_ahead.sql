-- No account's last moment is ahead of the clock. Where one is, the clock was wrong at that
-- moment.
create or replace view credits_private.check_the_clock_is_not_ahead as
select
  'the_clock_is_not_ahead' as invariant,
  a.account_id,
  'a moment that has come' as expected,
  a.last_created_at::text as actual,
  'last_created_at' as subject
from credits_private.accounts as a
where a.last_created_at > clock_timestamp();
