-- Account by account in ascending order, each locked before the first of its deductions: two
-- batches in opposite order never wait for each other in a circle. Within an account, in the
-- caller's order. A refusal is a value here, not an error that is caught: ten thousand deductions
-- are no subtransactions. Settling is the account's own and stays, as in any call that is answered.
create or replace function credits_private.deduct_batch(
  p_deductions jsonb, p_all_or_nothing boolean, p_at timestamptz
) returns setof credits.deduct_credits_batch_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_of_account record;
  v_result credits.deduct_credits_batch_result;
  v_results credits.deduct_credits_batch_result[];
  v_refusal credits_private.refusal;
begin
  perform credits_private.check_batch(p_deductions, p_all_or_nothing);

  for v_of_account in
    select d.account_id, jsonb_agg(d.value order by d.n) as items, array_agg(d.n order by d.n) as ns
    from (
      select d.value, d.ordinality::int as n, d.value ->> 'account_id' as account_id
      from jsonb_array_elements(p_deductions) with ordinality as d
    ) as d
    group by d.account_id
    -- Only the order is by bytes: an account_id of another collation would find no index.
    order by d.account_id collate "C"
  loop
    for v_result in
      select r.*
      from credits_private.book_account(v_of_account.account_id, v_of_account.items, p_at) as r
    loop
      v_result.deduction := v_of_account.ns[v_result.deduction];
      v_results[v_result.deduction] := v_result;
    end loop;
  end loop;

  if p_all_or_nothing then
    for v_n in 1 .. jsonb_array_length(p_deductions) loop
      if v_results[v_n].error_code is not null then
        v_refusal := (v_results[v_n].error_code, v_results[v_n].error_message,
          v_results[v_n].error_detail || jsonb_build_object('deduction', v_n),
          'Nothing of the batch was booked: mend or leave out this deduction.',
          v_results[v_n].error_detail ->> 'invariant')::credits_private.refusal;
        perform credits_private.raise_refusal(v_refusal);
      end if;
    end loop;
  end if;
  return query select r.* from unnest(v_results) as r;
end
$$;

revoke all on function
  credits_private.deduct_batch(jsonb, boolean, timestamptz) from public;

create or replace function credits.deduct_credits_batch(
  p_deductions jsonb,
  p_all_or_nothing boolean = false
) returns setof credits.deduct_credits_batch_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return query select r.*
    from credits_private.deduct_batch(p_deductions, p_all_or_nothing, null) as r;
end
$$;

revoke all on function credits.deduct_credits_batch(jsonb, boolean) from public;

comment on function credits.deduct_credits_batch(jsonb, boolean) is $comment$
Up to 10,000 deductions in one call, over any number of accounts.

`p_deductions` is a json array of objects with the names of `deduct_credits`' arguments, without
`p_`: `account_id`, `amount`, `idempotency_key`, and, where wanted, `api_key_id`, `operation`,
`run_id`, `metadata`. Another name is refused, so that a misspelt one is not overlooked. Each
deduction is what `deduct_credits` would do, and has its own key: repeating a batch, or a key within
it, takes effect once.

Returns one row per deduction, in the caller's order: its number from 1, account and key; the
columns of `deduct_credits`; or, if it was refused, `error_code` (the SQLSTATE that `deduct_credits`
would raise), `error_message` and `error_detail`. The others are booked all the same. With
`p_all_or_nothing`, the first refusal is raised instead, with its number as `deduction` in the
detail, and nothing is booked.

Accounts are locked in ascending order (of bytes) until the end of the transaction, so batches in
opposite order never deadlock. Raises `22023` if the whole is no such array; what else it raises, as
`40001`, concerns the whole, and nothing was changed.
$comment$;
