create or replace function credits.explain_balance(
  p_account_id text,
  p_at timestamptz = null
) returns setof credits.explain_balance_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  if current_setting('transaction_read_only') = 'off' then
    perform from credits_private.accounts where false for key share; -- waits for deploys
  end if;
  return query select e.*
    from credits_private.explain_balance_at(p_account_id collate "default", p_at, null) as e;
end
$$;

comment on function credits.explain_balance(text, timestamptz) is $comment$
Traces every credit of an account: for each grant, what was granted, what it was spent on, what was
refunded, expired or revoked, what repaid debt, and what is held. `p_at` is a moment in the past;
null is now.

Returns one row per grant (null is debt), source, kind of entry, API key and operation. `amount` is
what those `entries` added to the balance; `held` is what open holds have reserved (kind 'hold').
The amounts add up to the balance, those of a grant to what remains of it, and `held` to what was
held, exactly as they were at that moment, however late it was booked.

Books what is due first, as every call does; in a read-only transaction it cannot, and shows what is
booked. Reads the account's whole ledger. Raises `PT404` if there is no such account; `22023` for a
moment in the future.
$comment$;
