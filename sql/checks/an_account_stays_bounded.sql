-- What is open on an account can be settled at once. Grants that refunds made in place of expired
-- ones may come on top, because a refund is never refused for them.
create or replace view credits_private.check_an_account_stays_bounded as
select
  'an_account_stays_bounded' as invariant,
  b.account_id,
  'at most 10000' as expected,
  b.rows::text as actual,
  b.subject
from (
  select h.account_id, 'open holds' as subject, count(*) as rows
  from credits_private.holds as h
  where h.state = 'open'
  group by 1
  union all
  select g.account_id, 'live grants' as subject, count(*)
  from credits_private.grants as g
  where (g.is_open or g.is_scheduled) and g.origin_grant_id is null
  group by 1
) as b
where b.rows > 10000;
