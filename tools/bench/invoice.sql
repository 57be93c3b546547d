\set account random(1, :accounts)
select period, opening_balance, credits_granted, credits_used, closing_balance, calls
from credits.invoice where account_id = 'acct-' || :account;
