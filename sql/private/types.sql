comment on type credits.account_result is
  'What open_account, close_account, settle_account, set_overdraft_limit and forget_account return';
comment on type credits.capture_hold_result is 'What capture_hold returns';
comment on type credits.deduct_credits_batch_result is
  'What deduct_credits_batch returns for each deduction';
comment on type credits.deduct_credits_result is 'What deduct_credits returns';
comment on type credits.explain_balance_result is 'One row of what explain_balance returns';
comment on type credits.extend_hold_result is 'What extend_hold returns';
comment on type credits.grant_credits_result is 'What grant_credits returns';
comment on type credits.hold_credits_result is 'What hold_credits returns';
comment on type credits.limit_result is 'What set_limit and remove_limit return';
comment on type credits.refund_credits_result is 'What refund_credits returns';
comment on type credits.release_hold_result is 'What release_hold returns';
comment on type credits.revoke_grant_result is 'What revoke_grant returns';
