create or replace function credits.available_for(p_account_id text, p_operation text = null)
returns bigint
language plpgsql stable security definer
set search_path = ''
as $$
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_id(p_account_id, 'p_operation', p_operation, true);
  if not exists (select from credits_private.accounts as a where a.account_id = p_account_id) then
    perform credits_private.refuse_account(p_account_id);
  end if;
  return credits_private.available(p_account_id, p_operation, clock_timestamp());
end
$$;

revoke all on function credits.available_for(text, text) from public;

comment on function credits.available_for(text, text) is $comment$
What a deduction for `p_operation` may take from the account now, in its smallest unit: the rest
of its unexpired grants, those without scope and those whose scope includes the operation. Null is
a deduction that names no operation: `available` in `credits.remaining`.

A deduction of exactly this much succeeds, if nobody else's comes in between. Reads only. Raises
`PT404` if there is no such account.
$comment$;
