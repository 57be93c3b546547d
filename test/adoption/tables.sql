-- An app's own tables, as the gateway of the incident had them.
create table public.users (
  id text primary key,
  email text not null,
  monthly_allowance bigint not null,
  created_at timestamptz not null
);

create table public.user_credits (
  user_id text primary key references public.users (id),
  balance bigint not null,
  updated_at timestamptz not null
);

create table public.api_keys (
  id text primary key,
  user_id text not null references public.users (id),
  monthly_calls_count bigint not null default 0,
  counter_reset_at timestamptz not null
);

create table public.credit_transactions (
  id bigint primary key,
  user_id text not null references public.users (id),
  amount bigint not null,
  kind text not null,
  operation text,
  api_key_id text, -- may name a key that has been deleted since
  reference text,
  refunded_transaction_id bigint references public.credit_transactions (id),
  balance_after bigint not null,
  created_at timestamptz not null
);
create index on public.credit_transactions (user_id, created_at);
