create or replace view credits.accounts as
select
  a.account_id,
  a.unit,
  a.scale,
  a.time_zone,
  a.anchor_day,
  a.opened_at,
  a.closed_at,
  a.due_at as settled_until,
  a.metadata
from credits_private.accounts as a;

comment on view credits.accounts is $comment$
What was set of an account, and whether it is closed: one row per account. What it has is in
`remaining`.
$comment$;

comment on column credits.accounts.unit is 'what the account counts';
comment on column credits.accounts.scale is 'decimal places to show amounts with';
comment on column credits.accounts.time_zone is 'where its periods and days begin at midnight';
comment on column credits.accounts.anchor_day is
  'on which day its periods begin; 31 is the last day of shorter months';
comment on column credits.accounts.closed_at is 'null as long as it is open';
comment on column credits.accounts.settled_until is
  'all that was due before is booked; in the past, something has been due since then';
comment on column credits.accounts.metadata is 'what was passed to open_account';
