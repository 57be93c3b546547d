\set account random(1, :accounts)
\set request random(1, 9007199254740991)
select transaction_id, balance
from bench.deduct_from_sql_floor('acct-' || :account, 1, 'request ' || :request);
