-- The books as the gateway kept them, with the faults that they had, each marked "fault". The debit
-- itself is right. (Nothing here is a model to follow: ids from a sequence, no idempotency, no lock
-- before the check.)
create schema old_way;

create table old_way.users (
  user_id text not null,
  monthly_allowance bigint not null,
  credits bigint not null,
  constraint a_user_has_one_row primary key (user_id)
);

create table old_way.api_keys (
  api_key_id text not null,
  user_id text not null,
  monthly_calls_count bigint not null default 0,
  constraint an_api_key_has_one_row primary key (api_key_id)
);

create table old_way.credit_transactions (
  transaction_id bigint generated always as identity,
  user_id text not null,
  amount bigint not null,
  path text not null,
  api_key_id text, -- fault: may be left out, and the code of /search did
  constraint a_transaction_has_one_row primary key (transaction_id)
);

-- Before a call is served: the balance and its transaction, together.
create function old_way.debit(p_user_id text, p_amount bigint, p_path text, p_api_key_id text)
returns void
language sql
as $$
  update old_way.users set credits = credits - p_amount where user_id = p_user_id;
  insert into old_way.credit_transactions (user_id, amount, path, api_key_id)
  values (p_user_id, -p_amount, p_path, p_api_key_id);
$$;

-- After it was served. Fault: in a transaction of its own, so nothing ties it to the debit.
create function old_way.count_call(p_api_key_id text, p_amount bigint, p_uses_llm boolean)
returns void
language sql
as $$
  update old_way.api_keys
  -- Fault: the LLM path counts calls, all others count credits.
  set monthly_calls_count = monthly_calls_count + case when p_uses_llm then 1 else p_amount end
  -- Fault: without a key, this finds no row, and says nothing.
  where api_key_id = p_api_key_id;
$$;

-- Four surfaces, three sources.
create view old_way.surfaces as
select
  u.user_id,
  t.debits,
  t.debited as balance_delta,
  k.counted as invoice,
  t.calls_with_a_key as key_usage,
  u.monthly_allowance - k.counted as remaining_quota
from old_way.users as u
cross join lateral (
  select
    count(*) as debits,
    -sum(t.amount)::bigint as debited,
    count(t.api_key_id) as calls_with_a_key
  from old_way.credit_transactions as t
  where t.user_id = u.user_id
) as t
cross join lateral (
  select sum(k.monthly_calls_count)::bigint as counted
  from old_way.api_keys as k
  where k.user_id = u.user_id
) as k;
