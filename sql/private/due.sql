-- requires: private/remainders.sql
--
-- What comes due: the one place that says what time alone does to an account, and when. As due_at
-- is never later than the first of it, no call overlooks credit that has come
-- (available_is_spendable).

-- One row per thing that comes due on an account, until it is booked. Settling books the rows in
-- order of at, step and id (settle.sql). The account's due_at is never later than the first row
-- (first_due, below). The figures between two settlings are told from the rows (effects.sql).
-- A call compares due_at and reads this view only if something is due.
--
-- Another kind of thing is one more branch here and one more `when` in settle and due_effects;
-- only this file knows the steps, which order what is due at the same moment. at is when, id the
-- hold or grant, and amount what moves as the account stands. A grant that holds have reserved
-- whole has an amount of 0, but a row: a hold that ends earlier may return credit to it. Once it
-- has expired, it waits for its holds.
--
-- Each branch finds an account's rows through an index. Only the checks say in their own words what
-- is due (sql/checks/), so that there is something to compare this view with.
create or replace view credits_private.due as
select h.account_id, h.expires_at as at, 1 as step, h.hold_id as id, 'hold expires' as kind,
  h.held as amount
from credits_private.holds as h
where h.state = 'open'
union all
select g.account_id, g.expires_at, 2, g.grant_id, 'grant expires', g.remaining - g.held
from credits_private.remainders as g
where (g.is_open or g.is_scheduled) and g.expires_at is not null
union all
select g.account_id, g.effective_at, 3, g.grant_id, 'grant begins', g.amount
from credits_private.grants as g
where g.is_scheduled
union all
select a.account_id, a.period_ends_at, 4, null, 'period ends', 0::bigint
from credits_private.accounts as a;

-- When the next thing comes due on an account that is settled up to p_at: its due_at. A call that
-- adds something due does not ask this function, but takes the earlier of due_at and the new
-- moment, which comes to the same (test/functions/accounts/due.test.ts): asking would cost a hold
-- 200 thousand instructions more, 6 %.
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
