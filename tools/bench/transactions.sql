\set account random(1, :accounts)
select transaction_id, kind, amount, balance_after, operation, created_at
from credits.transactions where account_id = 'acct-' || :account
order by transaction_id desc limit 20;
