\set account random(1, :accounts)
\set request random(1, 9007199254740991)
select transaction_id, balance
from bench.transfer_to_house('acct-' || :account, 1, 'request ' || :request);
