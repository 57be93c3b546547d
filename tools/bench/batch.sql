\set request random(1, 9007199254740991)
select deduction, transaction_id, balance, error_code
from credits.deduct_credits_batch((
  select jsonb_agg(jsonb_build_object('account_id', 'acct-1', 'amount', 1,
    'idempotency_key', 'request ' || :request || ' ' || i, 'api_key_id', 'key_live_1',
    'operation', '/execute'))
  from generate_series(1, :size) as i));
