-- A type is PUBLIC's to use unless that is revoked, as a function is PUBLIC's to call.
revoke all on type
  credits.account_result, credits.deduct_credits_result, credits.grant_credits_result,
  credits.refund_credits_result, credits_private.answer, credits_private.draw
from public;
