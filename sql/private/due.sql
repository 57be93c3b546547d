-- What comes due: the one place that tells what time alone does to an account, and when.

-- One row per thing that comes due on an account, until it is booked. Three readers: settling books
-- the rows that are due in order of at, step and id (private/settle.sql), due_at on the account's
-- row is never later than the first of them (first_due, below), and the figures between two
-- settlings are computed from them (private/forecast.sql). Everything else compares due_at, so a call
-- on which nothing is due never reads this view. Another kind of thing is one more branch here and one
-- more `when` in settle.
--
-- step orders what is due at the same moment. id is the hold or grant; amount is what moves as the
-- account stands. A grant that holds have reserved whole has an amount of 0, and a row all the same:
-- a hold that ends earlier may return credit to it. Once it has expired, it waits for its holds.
--
-- Each branch finds an account's rows through an index. The checks in credits.discrepancies tell what
-- is due in their own words, to have something to compare this with.
create or replace view credits_private.due as
select h.account_id, h.expires_at as at, 1 as step, h.hold_id as id, 'hold expires' as kind,
  h.held as amount
from credits_private.holds as h
where h.state = 'open'
union all
select g.account_id, g.expires_at, 2, g.grant_id, 'grant expires', g.remaining - g.held
from credits_private.grants as g
where (g.is_open or g.is_scheduled) and g.expires_at is not null
union all
select g.account_id, g.effective_at, 3, g.grant_id, 'grant begins', g.amount
from credits_private.grants as g
where g.is_scheduled
union all
select a.account_id, a.period_ends_at, 4, null, 'period ends', 0
from credits_private.accounts as a;

-- The first thing that is still to come once p_account_id is settled up to p_at: what due_at becomes.
-- A call that adds something due takes the earlier of due_at and that thing's moment instead, which is
-- the same (test/functions/accounts/due.test.ts).
create or replace function credits_private.first_due(p_account_id text, p_at timestamptz)
returns timestamptz
language plpgsql stable
set search_path = pg_temp
as $$
begin
  return (
    select min(d.at)
    from credits_private.due as d
    where d.account_id = p_account_id and (d.kind <> 'grant expires' or d.at > p_at));
end
$$;

revoke all on function credits_private.first_due(text, timestamptz) from public;
