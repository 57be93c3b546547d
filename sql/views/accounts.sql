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
  coalesce(m.metadata, '{}') as metadata
from credits_private.accounts as a
left join credits_private.account_metadata as m on m.account_id = a.account_id;

comment on view credits.accounts is $comment$
One row per account: its settings, and whether it is closed. `remaining` shows what it has.
$comment$;

comment on column credits.accounts.unit is 'what the account counts, such as ''credit'' or ''usd''';
comment on column credits.accounts.scale is 'how many decimal places amounts are shown with';
comment on column credits.accounts.time_zone is
  'the zone at whose midnight its periods and days begin';
comment on column credits.accounts.anchor_day is
  'the day of the month on which its periods begin; 31 is the last day of a shorter month';
comment on column credits.accounts.closed_at is 'when it was closed; null while it is open';
comment on column credits.accounts.settled_until is
  'everything due before this moment is booked; where it has passed, something is due';
comment on column credits.accounts.metadata is 'what open_account was given';
