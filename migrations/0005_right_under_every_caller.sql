-- The state behind free deductions, grants that live for an interval, limits that outlast
-- forgetting, dated revocations and accounts that cannot be settled. This file calls nothing of sql/
-- and is never edited once it has been released.
--
-- Why it looks like this:
--
-- * A result type never gains a column in place: a call that waits for this deploy was planned with
--   the old columns, and would fail with 42804. The old type keeps its oid under another name, for
--   the calls in flight (sql/private/calls_in_flight.sql), and a new one takes its name. Functions
--   that return it, or gain a parameter, are dropped, and sql/ makes them anew.
-- * A figure that no other row tells can be changed by hand unnoticed. So each call that asks back a
--   grant is a row (revoked is their sum), and a limit says from which window on it counts (from
--   there, its counters are what the ledger says, no more and no less).
-- * Columns that are null for most rows: a null costs no byte.

drop function if exists credits.capture_hold(text, bigint, bigint, text, boolean, jsonb);
drop function if exists credits.deduct_credits(text, bigint, text, text, text, text, jsonb);
drop function if exists credits.deduct_credits_batch(jsonb, boolean);
drop function if exists credits.grant_credits(
  text, bigint, text, text, int, timestamptz, timestamptz, text[], bigint, text, jsonb);

drop function if exists credits_private.book_account(text, jsonb, timestamptz);
drop function if exists credits_private.book_item(jsonb, timestamptz);
drop function if exists credits_private.deduct_credits_at(
  text, bigint, text, text, text, text, jsonb, timestamptz);
drop function if exists credits_private.refuse_deduction(credits_private.refusal, boolean);
drop function if exists credits_private.replay_deduction(
  text, bigint, text, text, text, text, boolean);

-- Their arguments change; sql/ brings them back.
drop function if exists credits_private.ask_back(text, bigint, bigint, timestamptz);
drop function if exists credits_private.check_amount(text, text, bigint);
drop function if exists credits_private.check_spending(
  text, bigint, text, text, text, text, jsonb);
drop function if exists credits_private.check_grant(
  text, bigint, text, text, int, timestamptz, timestamptz, bigint, text, jsonb);
drop function if exists credits_private.count_limit(
  credits_private.accounts, credits_private.limits, timestamptz);
drop function if exists credits_private.find_answer(text, text, bytea);
drop function if exists credits_private.forget_ids(text);
drop function if exists credits_private.interval_parts(interval);
drop function if exists credits_private.read_answer(text, text, bytea);
drop function if exists credits_private.refuse_key(text, text, bigint);
drop function if exists credits_private.tidy(
  credits_private.accounts, bigint[], timestamptz, timestamptz);
drop function if exists credits_private.refuse_limit(
  credits_private.limits, text, bigint, bigint, bigint, bigint);

alter type credits_private.deduction rename to deduction_0004;
alter type credits.capture_hold_result set schema credits_private;
alter type credits.deduct_credits_batch_result set schema credits_private;
alter type credits.deduct_credits_result set schema credits_private;
alter type credits.grant_credits_result set schema credits_private;
alter type credits_private.capture_hold_result rename to capture_hold_result_0004;
alter type credits_private.deduct_credits_batch_result rename to deduct_credits_batch_result_0004;
alter type credits_private.deduct_credits_result rename to deduct_credits_result_0004;
alter type credits_private.grant_credits_result rename to grant_credits_result_0004;

create type credits.capture_hold_result as (
  hold_id bigint,
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean,
  held bigint,
  exceeded_limits text[],
  refunded bigint
);

create type credits.deduct_credits_result as (
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean,
  exceeded_limits text[],
  refunded bigint
);

create type credits.deduct_credits_batch_result as (
  deduction int,
  account_id text,
  idempotency_key text,
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean,
  exceeded_limits text[],
  error_code text,
  error_message text,
  error_detail jsonb,
  refunded bigint
);

create type credits.grant_credits_result as (
  grant_id bigint,
  transaction_id bigint,
  amount bigint,
  balance bigint,
  available bigint,
  replayed boolean,
  repaid bigint,
  expires_at timestamptz
);

create type credits_private.deduction as (
  result credits.deduct_credits_result,
  refusal credits_private.refusal
);

-- What a grant has at a moment, whether or not what is due by then has been settled.
create type credits_private.grant_figures as (
  grant_id bigint,
  remaining bigint,
  held bigint
);

-- The capture that counts as its hold's call is the first one. Captures from before this migration
-- have null, and count where they are final.
alter table credits_private.entries
  add column is_first boolean;

-- Each call of revoke_grant: what it asked for, and by how much what is asked back of the grant rose.
create table credits_private.revocations (
  grant_id bigint not null,
  revocation_id bigint not null,
  requested bigint not null,
  amount bigint not null,
  created_at timestamptz not null,
  account_id text not null,
  on_spent text not null,
  constraint a_revocation_has_one_row primary key (account_id, grant_id, revocation_id),
  constraint a_revocation_belongs_to_a_grant foreign key (account_id, grant_id)
    references credits_private.grants (account_id, grant_id)
);

-- Of revocations before this migration, only the sum is known.
insert into credits_private.revocations (
  account_id, grant_id, revocation_id, requested, amount, on_spent, created_at)
select g.account_id, g.grant_id, 1, g.revoked, g.revoked, 'clamp', coalesce((
  select e.created_at
  from credits_private.entries as e
  where e.account_id = g.account_id and e.kind = 'revocation' and e.revoked_grant_id = g.grant_id
  order by e.entry_id
  limit 1
), a.last_created_at)
from credits_private.grants as g
join credits_private.accounts as a on a.account_id = g.account_id
where g.revoked > 0;

-- The first window of which a limit counts all, and the ids that its counters keep for what was
-- forgotten: pseudonym to id.
alter table credits_private.limits
  add column counts_from date,
  add column pseudonyms jsonb;

-- A zone that the server no longer has counts as UTC here, as it stops nothing.
update credits_private.limits as l
set
  counts_from = coalesce(
    (
      select min(c.window_start)
      from credits_private.limit_counters as c
      where c.account_id = l.account_id and c.limit_id = l.limit_id
    ),
    case l.limit_window
      when 'day' then (a.last_created_at at time zone coalesce(z.name, 'UTC'))::date
      when 'period' then a.period
      else '-infinity'::date
    end),
  -- A limit on keys, operations or runs counts calls that name none from now on. What they spent
  -- before is no fault of it.
  set_entry_id = case when l.scope <> 'account' and l.scope_id is null
    then a.last_entry_id else l.set_entry_id end
from credits_private.accounts as a
left join pg_catalog.pg_timezone_names as z on z.name = a.time_zone
where a.account_id = l.account_id;

alter table credits_private.limits
  alter column counts_from set not null;

do $$
declare
  v_unnamed record;
begin
  for v_unnamed in
    select u.account_id, u.limit_id, u.window_start, -sum(u.amount)::bigint as spent,
      max(u.entry_id) as last_entry_id
    from (
      select l.account_id, l.limit_id, l.counts_from, e.entry_id, e.amount,
        case l.limit_window
          when 'day' then (o.effective_at at time zone coalesce(z.name, 'UTC'))::date
          when 'period' then o.period
          else '-infinity'::date
        end as window_start
      from credits_private.limits as l
      join credits_private.accounts as a on a.account_id = l.account_id
      left join pg_catalog.pg_timezone_names as z on z.name = a.time_zone
      join credits_private.entries as e
        on e.account_id = l.account_id and e.kind in ('deduction', 'capture', 'refund')
      join credits_private.entries as o
        on o.account_id = e.account_id and o.entry_id = coalesce(e.refunded_entry_id, e.entry_id)
      where l.scope_id is null
        and (l.scope = 'api_key' and e.api_key_id is null
          or l.scope = 'operation' and e.operation is null
          or l.scope = 'run' and e.run_id is null)
    ) as u
    where u.window_start >= u.counts_from
    group by u.account_id, u.limit_id, u.window_start
  loop
    -- In two steps: a counter starts at zero, and moves with the entry that it names.
    insert into credits_private.limit_counters (account_id, limit_id, window_start, scope_id)
    values (v_unnamed.account_id, v_unnamed.limit_id, v_unnamed.window_start, '');
    update credits_private.limit_counters as c
    set spent = v_unnamed.spent, last_entry_id = v_unnamed.last_entry_id
    where c.account_id = v_unnamed.account_id and c.limit_id = v_unnamed.limit_id
      and c.window_start = v_unnamed.window_start and c.scope_id = '';
  end loop;
end
$$;

-- Accounts that could not be settled, and when settle_due tries again.
create table credits_private.settle_failures (
  account_id text not null,
  failed_at timestamptz not null,
  retry_at timestamptz not null,
  failures bigint not null,
  error_code text not null,
  error_message text not null,
  constraint a_failure_has_one_row primary key (account_id),
  constraint a_failure_belongs_to_an_account foreign key (account_id)
    references credits_private.accounts (account_id)
);
