-- What reading functions answer: what is available, and what a balance is made of.

create or replace function credits_private.available_for_at(
  p_account_id text, p_operation text, p_at timestamptz
) returns bigint
language plpgsql stable
set search_path = pg_temp
as $$
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  perform credits_private.check_id(p_account_id, 'p_operation', p_operation, p_optional => true);
  if not exists (select from credits_private.accounts as a where a.account_id = p_account_id) then
    perform credits_private.raise_refusal(credits_private.no_such_account_refusal(p_account_id));
  end if;
  return credits_private.available(p_account_id, p_operation, coalesce(p_at, clock_timestamp()));
end
$$;

-- Books what is due first, as every call does, unless the transaction is read-only. After that, any
-- past moment is a prefix of the ledger, and a prefix of the parts of holds: neither runs back in
-- time.
create or replace function credits_private.explain_balance_at(
  p_account_id text, p_moment timestamptz, p_at timestamptz
) returns setof credits.explain_balance_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_at timestamptz := coalesce(p_at, clock_timestamp());
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  if not exists (select from credits_private.accounts as a where a.account_id = p_account_id) then
    perform credits_private.raise_refusal(credits_private.no_such_account_refusal(p_account_id));
  elsif p_moment > v_at then
    perform credits_private.raise_invalid_argument(p_account_id, 'p_at',
      'a balance in the future cannot be explained', 'Leave p_at out for the present balance.');
  end if;
  if current_setting('transaction_read_only') = 'off' and exists (
    select from credits_private.accounts as a
    where a.account_id = p_account_id and a.due_at <= v_at)
  then
    perform credits_private.enter(p_account_id, p_at);
  end if;

  return query
    select f.grant_id, g.source, f.kind, f.api_key_id, f.operation,
      f.amount::bigint, f.held::bigint, f.entries
    from (
      select e.grant_id, e.kind, e.api_key_id, e.operation, sum(e.amount) as amount, 0 as held,
        count(*) as entries, min(e.entry_id) as first_id
      from credits_private.entries as e
      where e.account_id = p_account_id and (p_moment is null or e.effective_at <= p_moment)
      group by e.grant_id, e.kind, e.api_key_id, e.operation
      union all
      select p.grant_id, 'hold', h.api_key_id, h.operation, 0, sum(p.amount),
        0, credits_private.max_amount() + min(p.part_id)
      from credits_private.hold_parts as p
      join credits_private.holds as h on h.account_id = p.account_id and h.hold_id = p.hold_id
      where p.account_id = p_account_id and (p_moment is null or p.effective_at <= p_moment)
      group by p.grant_id, h.api_key_id, h.operation
      having sum(p.amount) > 0
    ) as f
    left join credits_private.grants as g
      on g.account_id = p_account_id and g.grant_id = f.grant_id
    order by f.grant_id nulls last, f.first_id;
end
$$;
