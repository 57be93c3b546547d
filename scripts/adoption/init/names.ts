// By names that apps give to such columns, and by types and keys. The order of a pattern's words is
// no preference: of a table's columns, the first that fits is taken.
export const names = {
  account:
    /^(user|account|customer|org|organi[sz]ation|team|tenant|workspace|company|member|client|owner|profile|wallet)_?id$/i,
  amount: /^(amount|credits?|delta|change|credits?_?(amount|delta|change)|points|quantity)$/i,
  created_at:
    /^(created|inserted|occurred|booked|happened)_?(at|on)$|^(timestamp|time|at|date|created)$/i,
  balance_after:
    /^(balance_?after|after_?balance|new_?balance|running_?balance|resulting_?balance|balance)$/i,
  kind: /^(kind|type|(transaction|entry|tx)_?type|reason)$/i,
  refunded:
    /^(refund(ed|s)?(_of)?|original|revers(ed|es)|parent)_?(credit_?)?(transaction|entry)?_?id$/i,
  reference: /^(reference|reference_?id|ref|idempotency_?key|external_?id|request_?id|event_?id)$/i,
  payment:
    /^(stripe_?(event|(checkout_?)?session|payment_?intent|invoice|charge)|payment_?intent|checkout_?session)_?id$/i,
  api_key: /^(api_?key_?id|api_?key|key_?id|token_?id)$/i,
  operation: /^(operation|endpoint|path|route|action|feature|model|service|method)$/i,
  run: /^(run|session|job|trace|task)_?id$/i,
  transactions: /credit|transaction|ledger|entries|movement|billing|history|usage/i,
  balance:
    /^(balance|credits?|credits?_?balance|current_?balance|credits?_?(remaining|left|available)|(remaining|available)_?credits)$/i,
  balances:
    /credit|balance|wallet|account|user|profile|customer|member|client|compan(y|ies)|tenant|workspace|subscription|org|team/i,
  deleted: /^deleted_?at$/i,
  counter: /(calls?|requests?|usage|used|consumed|spent)(_?(count|total|counter))?$/i,
  noCounter: /limit|quota|allowance|max|price|cost|_id$|_at$/i,
  since: /reset|period_?start|window_?start|cycle_?start|since|started/i,
  apiKeys: /key|token/i,
} as const;
