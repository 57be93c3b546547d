-- Adds what a revocation asks back to its grant, in the same statement as the revocation's row. It
-- only ever grows, and nothing else changes it.
create or replace function credits_private.apply_revocation() returns trigger
language plpgsql
set search_path = pg_temp
as $$
begin
  update credits_private.grants as g
  set revoked = g.revoked + new.amount
  where g.account_id = new.account_id and g.grant_id = new.grant_id
    and new.amount >= 0 and g.revoked + new.amount <= g.amount;
  if not found then
    perform credits_private.raise_change_by_hand('grants_equal_ledger', 'revocations', tg_op);
  end if;
  return null;
end
$$;

create or replace trigger _100_revocations_are_immutable
  before update or delete on credits_private.revocations
  for each row
  execute function credits_private.refuse_change('grants_equal_ledger', 'revocations');

create or replace trigger _110_revocations_are_never_truncated
  before truncate on credits_private.revocations
  for each statement
  execute function credits_private.refuse_change('grants_equal_ledger', 'revocations');

create or replace trigger _500_grants_equal_ledger
  after insert on credits_private.revocations
  for each row
  execute function credits_private.apply_revocation();
