-- A type is PUBLIC's to use unless that is revoked, as a function is PUBLIC's to call.
revoke all on type
  credits.account_result, credits.capture_hold_result, credits.deduct_credits_batch_result,
  credits.deduct_credits_result, credits.explain_balance_result, credits.extend_hold_result,
  credits.grant_credits_result, credits.hold_credits_result, credits.limit_result,
  credits.refund_credits_result, credits.release_hold_result, credits.revoke_grant_result,
  credits_private.answer, credits_private.deduction, credits_private.draw,
  credits_private.entered, credits_private.figures, credits_private.limit_check, credits_private.refusal
from public;
