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
Traces every credit of an account: grant by grant, what was granted, what it was spent on, what was
refunded, expired, revoked, what repaid debt, and what is held. `p_at` is a moment of the past; null
is now.

One row per grant (null is debt), its source, kind of entry, API key and operation: `amount` is what
they added to the balance, of how many `entries`; `held` what open holds have reserved (kind
'hold'). The amounts sum up to the balance, those of a grant to what remains of it, and held to what
was held, exactly as they were at that moment, however late it was booked.

It books what is due first, as every call does; in a read-only transaction it cannot, and shows what
is booked. It reads the account's ledger. Raises `PT404` if there is no such account; `22023` for a
moment in the future.
$comment$;
