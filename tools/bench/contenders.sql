-- What one would otherwise write. Each contender has tables of its own, a row per account that is
-- updated and a row that is appended, in the same shape and with room for HOT updates.
--
-- Functions are in PL/pgSQL: before Postgres 18, an SQL function is planned anew at each call, which
-- makes the floor twice as dear, and us look good. The floor in SQL is here because people write it so.

create schema bench;

create table bench.floor_accounts (
  account_id text not null primary key,
  balance bigint not null,
  last_entry_id bigint not null
)
with (fillfactor = 70);

create table bench.floor_entries (
  account_id text not null,
  entry_id bigint not null,
  amount bigint not null,
  balance_after bigint not null,
  created_at timestamptz not null,
  idempotency_key text not null,
  primary key (account_id, entry_id)
);

create table bench.sql_accounts (like bench.floor_accounts including indexes)
with (fillfactor = 70);
create table bench.sql_entries (like bench.floor_entries including indexes);
create table bench.hand_accounts (like bench.floor_accounts including indexes)
with (fillfactor = 70);
create table bench.hand_entries (like bench.floor_entries including indexes);
create table bench.house_accounts (like bench.floor_accounts including indexes)
with (fillfactor = 70);
create table bench.house_entries (like bench.floor_entries including indexes);

create function bench.deduct_from_floor(
  p_account_id text, p_amount bigint, p_idempotency_key text,
  out transaction_id bigint, out balance bigint
)
language plpgsql
as $$
begin
  with a as (
    update bench.floor_accounts as a
    set balance = a.balance - p_amount, last_entry_id = a.last_entry_id + 1
    where a.account_id = p_account_id
    returning a.last_entry_id, a.balance
  )
  insert into bench.floor_entries as e
  select p_account_id, a.last_entry_id, -p_amount, a.balance, now(), p_idempotency_key
  from a
  returning e.entry_id, e.balance_after into transaction_id, balance;
end
$$;

create function bench.deduct_from_sql_floor(
  p_account_id text, p_amount bigint, p_idempotency_key text,
  out transaction_id bigint, out balance bigint
)
language sql
as $$
  with a as (
    update bench.sql_accounts as a
    set balance = a.balance - p_amount, last_entry_id = a.last_entry_id + 1
    where a.account_id = p_account_id
    returning a.last_entry_id, a.balance
  )
  insert into bench.sql_entries as e
  select p_account_id, a.last_entry_id, -p_amount, a.balance, now(), p_idempotency_key
  from a
  returning e.entry_id, e.balance_after
$$;

-- As general ledgers do: what leaves the customer's account enters the house's.
create function bench.transfer_to_house(
  p_account_id text, p_amount bigint, p_idempotency_key text,
  out transaction_id bigint, out balance bigint
)
language plpgsql
as $$
begin
  with a as (
    update bench.house_accounts as a
    set balance = a.balance - p_amount, last_entry_id = a.last_entry_id + 1
    where a.account_id = p_account_id
    returning a.last_entry_id, a.balance
  )
  insert into bench.house_entries as e
  select p_account_id, a.last_entry_id, -p_amount, a.balance, now(), p_idempotency_key
  from a
  returning e.entry_id, e.balance_after into transaction_id, balance;

  with a as (
    update bench.house_accounts as a
    set balance = a.balance + p_amount, last_entry_id = a.last_entry_id + 1
    where a.account_id = 'house'
    returning a.last_entry_id, a.balance
  )
  insert into bench.house_entries
  select 'house', a.last_entry_id, p_amount, a.balance, now(), p_idempotency_key
  from a;
end
$$;

-- What each contender has done, by its rows and by its balances: both must agree with what the
-- driver counted. Only customers' rows count; the house's mirror them.
create view bench.work as
select 'floor' as contender, entries, spent
from (select count(*) as entries from bench.floor_entries) as e,
  (select -sum(balance)::bigint as spent from bench.floor_accounts) as a
union all
select 'floor in SQL', entries, spent
from (select count(*) as entries from bench.sql_entries) as e,
  (select -sum(balance)::bigint as spent from bench.sql_accounts) as a
union all
select 'by hand', entries, spent
from (select count(*) as entries from bench.hand_entries) as e,
  (select -sum(balance)::bigint as spent from bench.hand_accounts) as a
union all
select 'shared house account', entries, spent
from (select count(*) as entries from bench.house_entries where account_id <> 'house') as e,
  (select balance as spent from bench.house_accounts where account_id = 'house') as a
union all
select 'deduct_credits', entries, spent
from (select count(*) as entries from credits.entries where kind = 'deduction') as e,
  (select -sum(balance)::bigint as spent from credits.remaining) as a;

-- No account is new: each has been granted credits and has spent one.
create procedure bench.seed(p_accounts int)
language plpgsql
as $$
begin
  insert into bench.floor_accounts
  select 'acct-' || i, 1000000000, 0 from generate_series(1, p_accounts) as i;
  perform bench.deduct_from_floor('acct-' || i, 1, 'first')
  from generate_series(1, p_accounts) as i;

  insert into bench.sql_accounts table bench.floor_accounts;
  insert into bench.sql_entries table bench.floor_entries;
  insert into bench.hand_accounts table bench.floor_accounts;
  insert into bench.hand_entries table bench.floor_entries;

  insert into bench.house_accounts
  select 'acct-' || i, 1000000000, 0 from generate_series(1, p_accounts) as i
  union all
  select 'house', 0, 0;
  perform bench.transfer_to_house('acct-' || i, 1, 'first')
  from generate_series(1, p_accounts) as i;

  perform g.grant_id
  from generate_series(1, p_accounts) as i,
    credits.grant_credits('acct-' || i, 1000000000, 'grant') as g;
  perform d.transaction_id
  from generate_series(1, p_accounts) as i,
    credits.deduct_credits('acct-' || i, 1, 'first', p_api_key_id => 'key_live_1',
      p_operation => '/execute') as d;
end
$$;
