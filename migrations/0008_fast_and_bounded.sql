-- The state behind the head, limits by the hour and week with what holds have reserved of them, and
-- holds that settle together. This file calls nothing of sql/ and is never edited once it has been
-- released.
--
-- Why it looks like this:
--
-- * The head is the grant in front, as figures on the account's row that stay while plain deductions
--   move the balance. So such a deduction reads and writes no grant (ARCHITECTURE.md).
-- * Every update of an account writes its whole row to the WAL. Metadata, up to 8 kB, has a table of
--   its own.
-- * A window of a limit begins at a moment of local time: an hour is no date.
-- * What open holds have reserved of a limit is a counter like what was spent. It stands in the
--   limit's counter of all time, because a hold reserves in whichever window it began.
-- * A view that reads a column ties it down. Views that stand in the way are replaced by empty ones
--   with the same columns until sql/ replaces them; an app may have views of its own on ours.

drop function if exists credits_private.check_overdraft(text, bigint);
drop function if exists credits_private.end_request(text, text, bytea, bigint, bigint, jsonb);
drop function if exists credits_private.write_capture(
  credits_private.account, credits_private.hold, bigint, text, boolean, jsonb, timestamptz);

do $$
declare
  v_view record;
begin
  for v_view in
    select c.oid::regclass as name,
      string_agg(format('null::%s as %I', format_type(a.atttypid, a.atttypmod), a.attname), ', '
        order by a.attnum) as columns
    from pg_catalog.pg_class as c
    join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
    where c.relkind = 'v' and c.oid in (
      to_regclass('credits.accounts'),
      to_regclass('credits.limits'),
      to_regclass('credits_private.check_limits_are_never_passed'),
      to_regclass('credits_private.check_limits_equal_ledger'))
    group by c.oid
  loop
    execute format('create or replace view %s as select %s where false', v_view.name,
      v_view.columns);
  end loop;
end
$$;

-- While no head is up, plain_above is 2^53, which no balance exceeds.
alter table credits_private.accounts
  add column head_grant_id bigint,
  add column head_balance bigint,
  add column plain_above bigint not null default 9007199254740992,
  add column available_above bigint not null default 0,
  add column scoped_operations text[],
  -- Postgres parses it anew for each statement that updates an account. That a debt is not negative is
  -- checked where a debt changes (sql/triggers/entries.sql).
  drop constraint available_is_never_negative,
  add constraint available_is_never_negative check (balance + debt >= held - overdraft_held);

create table credits_private.account_metadata (
  account_id text not null,
  metadata jsonb not null,
  constraint an_account_has_metadata_once primary key (account_id),
  constraint metadata_belongs_to_an_account foreign key (account_id)
    references credits_private.accounts (account_id)
);

insert into credits_private.account_metadata (account_id, metadata)
select a.account_id, a.metadata
from credits_private.accounts as a
where a.metadata <> '{}';

alter table credits_private.accounts
  drop column metadata;

alter type credits_private.account
  drop attribute metadata,
  add attribute head_grant_id bigint,
  add attribute head_balance bigint,
  add attribute plain_above bigint,
  add attribute available_above bigint,
  add attribute scoped_operations text[];

-- The last entry of the grant in front, where a draw takes from it alone and leaves some of it.
alter type credits_private.draw add attribute front_entry_id bigint;

-- What a deduction reads of its account: every column more costs it a thousand instructions.
create type credits_private.locked_account as (
  balance bigint,
  plain_above bigint,
  head_grant_id bigint,
  last_entry_id bigint,
  last_created_at timestamptz,
  due_at timestamptz,
  period date,
  available_above bigint,
  scoped_operations text[],
  has_limits boolean,
  has_keys boolean,
  overdraft bigint,
  closed_at timestamptz,
  time_zone text
);

-- A capture as it was written, and what of the hold was released unspent.
create type credits_private.captured as (
  account credits_private.account,
  released_grant_ids bigint[],
  released_amounts bigint[]
);

-- The parts that one statement wrote, counted on the first of them and 0 on the others, as
-- statement_entries counts entries. Null where each part is applied by itself.
-- A part's hold and grant are not looked up by foreign keys: the parts' trigger updates those very
-- rows, or refuses, and neither is ever deleted. The two cost a hold 4 % of its instructions.
alter table credits_private.hold_parts
  add column statement_parts bigint,
  drop constraint a_part_belongs_to_a_hold,
  drop constraint a_part_belongs_to_a_grant;

-- A trigger that names a column ties it down, too, and a view's column keeps its type. sql/ brings
-- these back. Nothing depends on the view any more: the checks that read it have been replaced.
drop view if exists credits_private.limit_uses;
drop function if exists credits_private.limit_window_start(text, date, timestamptz, text);
drop function if exists credits_private.limit_reserved(
  credits_private.spending_limit, text, bigint);
drop function if exists credits_private.apply_limits(credits_private.entry);
drop function if exists credits_private.next_window_at(credits_private.account, text, timestamptz);

drop trigger if exists _100_limits_equal_ledger on credits_private.limits;
drop trigger if exists _100_counters_change_only_with_the_ledger
  on credits_private.limit_counters;

alter table credits_private.limits
  alter column counts_from type timestamp;
alter type credits_private.spending_limit
  alter attribute counts_from type timestamp;

alter table credits_private.limit_counters
  alter column window_start type timestamp,
  add column reserved bigint not null default 0,
  add column last_part_id bigint not null default 0;

insert into credits_private.limit_counters as c (
  account_id, limit_id, window_start, scope_id, reserved, last_part_id)
select l.account_id, l.limit_id, '-infinity', s.scope_id, sum(h.held), max(h.last_part_id)
from credits_private.limits as l
join credits_private.holds as h on h.account_id = l.account_id and h.state = 'open'
cross join lateral (
  select coalesce(case l.scope
    when 'api_key' then h.api_key_id
    when 'operation' then h.operation
    when 'run' then h.run_id
  end, '') as scope_id
) as i
cross join lateral (
  select coalesce(l.pseudonyms ->> i.scope_id, i.scope_id) as scope_id
) as s
where l.scope_id is null or l.scope_id = s.scope_id
group by l.account_id, l.limit_id, s.scope_id
on conflict (account_id, limit_id, window_start, scope_id) do update
set reserved = excluded.reserved, last_part_id = excluded.last_part_id;

-- What one due thing will do to one grant, once it is settled.
create type credits_private.due_effect as (
  n bigint,
  at timestamptz,
  kind text,
  id bigint,
  grant_id bigint,
  origin_grant_id bigint,
  operations text[],
  expires_at timestamptz,
  returned bigint,
  begun bigint,
  taken bigint,
  replaced bigint,
  expired bigint,
  repaid bigint
);

drop function if exists credits_private.due_credit(text, timestamptz);
drop function if exists credits_private.free_credit(text, timestamptz);
drop function if exists credits_private.freed_credit(text, timestamptz, bigint);
drop function if exists credits_private.kept_credit(text, timestamptz);

-- A deduction of a batch: as it was read, and then as it was decided. first_n is the number of the
-- first one with the same key.
drop function if exists
  credits_private.book_items(text, jsonb, timestamptz),
  credits_private.is_in_the_way(text, jsonb, bigint, boolean),
  credits_private.parts_of_items(text, jsonb, timestamptz);
drop type credits_private.booked_item;

create type credits_private.batch_item as (
  n int,
  amount bigint,
  idempotency_key text,
  api_key_id text,
  operation text,
  run_id text,
  metadata jsonb,
  first_n int,
  is_known boolean,
  refusal credits_private.refusal,
  counters int[],
  transaction_id bigint,
  balance bigint,
  available bigint,
  exceeded_limits text[],
  grant_ids bigint[],
  amounts bigint[],
  balances bigint[]
);
