-- Malformed arguments raise 22023, before anything is read or locked.

-- 2^53 - 1, the largest whole number that is exact in JSON and JavaScript: no amount and no figure
-- may be larger. Postgres puts the constant in its place when it plans the statement.
create or replace function credits_private.max_amount()
returns bigint
language sql immutable
set search_path = pg_temp
as $$
  select 9007199254740991
$$;

create or replace function credits_private.raise_invalid_argument(
  p_account_id text, p_argument text, p_message text, p_hint text
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  perform credits_private.raise_error('22023', p_message,
    jsonb_build_object('account_id', left(p_account_id, 255), 'argument', p_argument), p_hint);
end
$$;

create or replace function credits_private.require_value(
  p_account_id text, p_argument text, p_value text
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_value is null then
    perform credits_private.raise_invalid_argument(p_account_id, p_argument,
      'an argument must not be null', format('Pass %s.', p_argument));
  end if;
end
$$;

-- An id or a key: 1 to 255 bytes; null only where it is optional.
create or replace function credits_private.check_id(
  p_account_id text, p_argument text, p_value text, p_optional boolean = false
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_value is null and p_optional then
    return;
  elsif p_value is null then
    perform credits_private.require_value(p_account_id, p_argument, p_value);
  elsif octet_length(p_value) not between 1 and 255 then
    perform credits_private.raise_invalid_argument(p_account_id, p_argument,
      'an id must have 1 to 255 bytes', format('Shorten or fill %s.', p_argument));
  end if;
end
$$;

create or replace function credits_private.check_amount(
  p_account_id text, p_argument text, p_value bigint, p_least bigint = 1
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_value is null or p_value not between p_least and credits_private.max_amount() then
    perform credits_private.raise_invalid_argument(p_account_id, p_argument,
      format('an amount must be a whole number from %s to 9007199254740991', p_least),
      format('Pass %s in the smallest unit of the account.', p_argument));
  end if;
end
$$;

create or replace function credits_private.check_ceiling(
  p_account_id text, p_argument text, p_value bigint
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_value is null or p_value not between 0 and credits_private.max_amount() then
    perform credits_private.raise_invalid_argument(p_account_id, p_argument,
      'a ceiling must be a whole number from 0 to 9007199254740991',
      format('Pass %s in the smallest unit of the account.', p_argument));
  end if;
end
$$;

create or replace function credits_private.check_metadata(p_account_id text, p_metadata jsonb)
returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_metadata is null or jsonb_typeof(p_metadata) <> 'object'
    or octet_length(p_metadata::text) > 8192
  then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_metadata',
      'metadata must be a json object of at most 8 kB',
      'Keep large documents in a table of your own, and their id in the metadata.');
  end if;
end
$$;

-- The arguments of a call that spends: one expression if all is well, and one check after the other
-- to name what is not. Only a deduction may be of 0.
create or replace function credits_private.check_spending(
  p_account_id text, p_amount bigint, p_idempotency_key text, p_api_key_id text,
  p_operation text, p_run_id text, p_metadata jsonb, p_least bigint = 1
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if (p_amount between p_least and credits_private.max_amount()
    and num_nulls(p_account_id, p_idempotency_key) = 0 and p_metadata = '{}'
    and least(p_account_id, p_idempotency_key, p_api_key_id, p_operation, p_run_id) <> ''
    and greatest(octet_length(p_account_id), octet_length(p_idempotency_key),
      octet_length(p_api_key_id), octet_length(p_operation), octet_length(p_run_id)) <= 255)
  then
    return;
  end if;
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_amount(p_account_id, 'p_amount', p_amount, p_least);
  perform credits_private.check_id(p_account_id, 'p_idempotency_key', p_idempotency_key);
  perform credits_private.check_id(p_account_id, 'p_api_key_id', p_api_key_id, p_optional => true);
  perform credits_private.check_id(p_account_id, 'p_operation', p_operation, p_optional => true);
  perform credits_private.check_id(p_account_id, 'p_run_id', p_run_id, p_optional => true);
  perform credits_private.check_metadata(p_account_id, p_metadata);
end
$$;

comment on schema credits is $comment$
What an app calls and reads. Every text that is passed, an id, a key, an operation, a source or a
unit, has 1 to 255 bytes; metadata is a JSON object of at most 8 kB. Amounts, ceilings, overdraft
limits and every balance that results are whole numbers within 2^53 - 1, so that they are exact in
JSON. An argument beyond these bounds raises `22023`, and nothing is changed.
$comment$;
