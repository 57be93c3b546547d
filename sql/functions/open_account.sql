create or replace function credits.open_account(
  p_account_id text,
  p_unit text = null,
  p_scale int = null,
  p_overdraft_limit bigint = null,
  p_time_zone text = null,
  p_anchor_day int = null,
  p_metadata jsonb = null
) returns credits.account_result
language plpgsql security definer
set search_path = pg_temp
set enable_seqscan = off -- plans outlive statistics
as $$
begin
  perform from credits_private.accounts where false for key share; -- waits for deploys
  return credits_private.open_account_at(
    p_account_id collate "default", p_unit collate "default", p_scale, p_overdraft_limit,
    p_time_zone collate "default", p_anchor_day, p_metadata, p_at => null);
end
$$;

comment on function credits.open_account(text, text, int, bigint, text, int, jsonb) is $comment$
Opens an account, or changes the settings of an open one.

The defaults of a new account are: `p_unit` 'credit', `p_scale` 0, `p_overdraft_limit` 0 (see
`set_overdraft_limit`), `p_time_zone` 'UTC', `p_anchor_day` 1, `p_metadata` '{}'. On an open
account, an argument that is left out changes nothing. All amounts are whole numbers of the unit's
smallest part; `p_scale` is the number of decimal places to show them with. Billing periods start at
midnight in the time zone, on the anchor day (31 is the last day of shorter months). If these two
change, the running period keeps its end.

Returns the account, its balance, and what a deduction without an operation may take.

A repeat with the same arguments changes nothing.

Raises `PT409` if unit or scale would change after the first entry, scheduled grant or limit;
`PT423` if the account is closed, because it cannot be opened again; `22023` for a malformed
argument, such as a time zone that Postgres does not know by name.
$comment$;
