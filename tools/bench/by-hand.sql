\set account random(1, :accounts)
\set request random(1, 9007199254740991)
begin;
select balance, last_entry_id
from bench.hand_accounts where account_id = 'acct-' || :account for update \gset
update bench.hand_accounts
set balance = :balance::bigint - 1, last_entry_id = :last_entry_id::bigint + 1
where account_id = 'acct-' || :account;
insert into bench.hand_entries values ('acct-' || :account, :last_entry_id::bigint + 1, -1,
  :balance::bigint - 1, now(), 'request ' || :request);
commit;
