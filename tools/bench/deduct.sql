\set account random(1, :accounts)
\set request random(1, 9007199254740991)
select transaction_id, balance
from credits.deduct_credits('acct-' || :account, 1, 'request ' || :request,
  p_api_key_id => 'key_live_1', p_operation => '/execute');
