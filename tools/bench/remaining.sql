\set account random(1, :accounts)
select balance, available, credits_used, calls
from credits.remaining where account_id = 'acct-' || :account;
