-- What the running period of an account was cut by, where the account's row does not say so. This file
-- calls nothing of sql/ and is never edited once it has been released.
--
-- Why it looks like this:
--
-- * A period keeps its end when the account's zone or anchor day changes. So the row alone does not say
--   what that end must be, and a period that was changed by hand could not be told from an honest one.
-- * What it was cut by is kept here until the next period begins. Few accounts change their settings:
--   a table of its own costs the others nothing.

create table credits_private.period_settings (
  account_id text not null,
  -- All three are null for a period of before this migration, of which they are not known.
  period date,
  time_zone text,
  anchor_day int,
  constraint a_period_is_cut_once primary key (account_id),
  constraint a_period_belongs_to_an_account foreign key (account_id)
    references credits_private.accounts (account_id),
  constraint what_a_period_was_cut_by_is_known_or_not
    check (num_nulls(period, time_zone, anchor_day) in (0, 3))
);

insert into credits_private.period_settings (account_id)
select a.account_id from credits_private.accounts as a;
