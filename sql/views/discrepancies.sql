-- requires: views/invoice.sql
-- requires: views/invoice_lines.sql
-- requires: views/limit_uses.sql
-- requires: views/account_faults.sql
-- requires: views/entry_faults.sql
-- requires: views/grant_faults.sql
-- requires: views/hold_faults.sql
-- requires: views/key_faults.sql
--
-- Every promise that can be checked from what is stored, checked: a row is a broken one, and there
-- is none. Nothing is taken from the code that keeps the promises; a figure is compared with what
-- the ledger says, or the ledger with itself. Filtered by account_id, it reads one account.
create or replace view credits.discrepancies as
select
  d.invariant,
  d.account_id,
  d.expected,
  d.actual,
  d.subject collate "default" as subject
from (
  -- The balance is the sum of the entries.
  select
    'balance_equals_ledger' as invariant,
    a.account_id,
    coalesce(e.amount, 0)::text as expected,
    a.balance::text as actual,
    'balance' as subject
  from credits_private.accounts as a
  left join (
    select e.account_id, sum(e.amount) as amount
    from credits_private.entries as e
    group by e.account_id
  ) as e on e.account_id = a.account_id
  where a.balance <> coalesce(e.amount, 0)

  union all
  -- The debt is the sum of the entries without a grant.
  select
    'balance_equals_ledger' as invariant,
    a.account_id,
    coalesce(e.amount, 0)::text as expected,
    a.debt::text as actual,
    'debt' as subject
  from credits_private.accounts as a
  left join (
    select e.account_id, -sum(e.amount) as amount
    from credits_private.entries as e
    where e.grant_id is null
    group by e.account_id
  ) as e on e.account_id = a.account_id
  where a.debt <> coalesce(e.amount, 0)

  union all
  -- What remains of a grant is the sum of its entries.
  select
    'grants_equal_ledger' as invariant,
    g.account_id,
    g.amount::text as expected,
    g.remaining::text as actual,
    format('grant %s', g.grant_id) as subject
  from (
    select g.account_id, g.grant_id, coalesce(sum(g.amount), 0) as amount,
      max(g.remaining) as remaining
    from (
      select g.account_id, g.grant_id, g.remaining, null::numeric as amount
      from credits_private.grants as g
      union all
      select e.account_id, e.grant_id, null as remaining, sum(e.amount) as amount
      from credits_private.entries as e
      where e.grant_id is not null
      group by e.account_id, e.grant_id
    ) as g
    group by g.account_id, g.grant_id
  ) as g
  where g.remaining is distinct from g.amount

  union all
  -- What was taken back of a grant is the sum of its revocations.
  select
    'grants_equal_ledger' as invariant,
    g.account_id,
    coalesce(e.amount, 0)::text as expected,
    g.taken::text as actual,
    format('grant %s taken', g.grant_id) as subject
  from credits_private.grants as g
  left join (
    select e.account_id, e.revoked_grant_id, -sum(e.amount) as amount
    from credits_private.entries as e
    where e.revoked_grant_id is not null
    group by e.account_id, e.revoked_grant_id
  ) as e on e.account_id = g.account_id and e.revoked_grant_id = g.grant_id
  where g.taken <> coalesce(e.amount, 0)

  union all
  -- The balance is what remains of all grants, less the debt.
  select
    'balance_equals_grants_less_debt' as invariant,
    a.account_id,
    (coalesce(g.remaining, 0) - a.debt)::text as expected,
    a.balance::text as actual,
    'balance' as subject
  from credits_private.accounts as a
  left join (
    select g.account_id, sum(g.remaining) as remaining
    from credits_private.grants as g
    group by g.account_id
  ) as g on g.account_id = a.account_id
  where a.balance <> coalesce(g.remaining, 0) - a.debt

  union all
  -- Debt is repaid by the first free unscoped credit.
  select
    'debt_and_free_credit_never_coexist' as invariant,
    a.account_id,
    '0' as expected,
    sum(g.remaining - g.held)::text as actual,
    format('free credit beside a debt of %s', a.debt) as subject
  from credits_private.accounts as a
  join credits_private.grants as g on g.account_id = a.account_id
  where a.debt > 0 and g.operations is null and g.remaining > g.held
  group by a.account_id, a.debt

  union all
  -- The counters say what the ledger says, per period, API key and operation. (Grouped, not a full
  -- join: a filter by account would not reach into that.)
  select
    'usage_equals_ledger' as invariant,
    u.account_id,
    u.expected,
    u.actual,
    format('period %s, api key %s, operation %s', u.period, u.api_key_id, u.operation) as subject
  from (
    select u.account_id, u.period, u.api_key_id, u.operation,
      coalesce(max(u.expected), '(,,)') as expected, coalesce(max(u.actual), '(,,)') as actual
    from (
      select
        l.account_id, l.period, coalesce(l.api_key_id, '') as api_key_id,
        coalesce(l.operation, '') as operation,
        (l.credits_used, l.credits_refunded, l.calls)::text as expected, null as actual
      from credits.invoice_lines as l
      union all
      select u.account_id, u.period, u.api_key_id, u.operation, null as expected,
        (u.credits_used, u.credits_refunded, u.calls)::text as actual
      from credits_private.usage_counters as u
    ) as u
    group by u.account_id, u.period, u.api_key_id, u.operation
  ) as u
  where u.expected <> u.actual

  union all
  -- An invoice leads from its opening to its closing balance.
  select
    'invoice_equals_balance_delta' as invariant,
    i.account_id,
    (i.closing_balance - i.opening_balance)::text as expected,
    (i.credits_granted::numeric - i.credits_used + i.credits_refunded - i.credits_expired
      - i.credits_revoked)::text as actual,
    format('period %s', i.period) as subject
  from credits.invoice as i
  where i.closing_balance - i.opening_balance <> i.credits_granted::numeric - i.credits_used
    + i.credits_refunded - i.credits_expired - i.credits_revoked

  union all
  -- The lines of an invoice sum up to it.
  select
    'invoice_lines_sum_to_invoice' as invariant,
    i.account_id,
    (i.credits_used, i.credits_refunded, i.calls)::text as expected,
    (coalesce(l.credits_used, 0), coalesce(l.credits_refunded, 0), coalesce(l.calls,
      0))::text as actual,
    format('period %s', i.period) as subject
  from credits.invoice as i
  left join (
    select
      l.account_id, l.period, sum(l.credits_used) as credits_used,
      sum(l.credits_refunded) as credits_refunded, sum(l.calls) as calls
    from credits.invoice_lines as l
    group by l.account_id, l.period
  ) as l on l.account_id = i.account_id and l.period = i.period
  where (i.credits_used, i.credits_refunded, i.calls)
    <> (coalesce(l.credits_used, 0), coalesce(l.credits_refunded, 0), coalesce(l.calls, 0))

  union all
  -- Entries are numbered 1, 2, 3, ... up to what the account has counted.
  select
    'entries_are_gapless' as invariant,
    a.account_id,
    format('1 to %s', a.last_entry_id) as expected,
    format('%s entries, %s to %s', coalesce(e.entries, 0), e.first_entry_id,
      e.last_entry_id) as actual,
    'entries' as subject
  from credits_private.accounts as a
  left join (
    select
      e.account_id, count(*) as entries,
      min(e.entry_id) as first_entry_id, max(e.entry_id) as last_entry_id
    from credits_private.entries as e
    group by e.account_id
  ) as e on e.account_id = a.account_id
  where coalesce(e.entries, 0) <> a.last_entry_id
    or coalesce(e.last_entry_id, 0) <> a.last_entry_id
    or e.first_entry_id <> 1

  union all
  -- An entry still says what it said when it was written: each balance follows from the one before
  -- it, and no time or period runs back.
  select
    v.invariant,
    e.account_id,
    v.expected,
    v.actual,
    format('entry %s', e.entry_id) as subject
  from (
    select
      e.*,
      coalesce(lag(e.balance_after) over by_number, 0) as balance_before,
      lag(e.effective_at) over by_number as previous_effective_at,
      lag(e.created_at) over by_number as previous_created_at,
      lag(e.period) over by_number as previous_period
    from credits_private.entries as e
    window by_number as (partition by e.account_id order by e.entry_id)
  ) as e
  cross join lateral (
    values
      ('entries_are_immutable', (e.balance_before + e.amount)::text, e.balance_after::text,
        e.balance_after <> e.balance_before + e.amount),
      ('entries_never_run_back_in_time', e.effective_at::text, e.created_at::text,
        e.created_at < e.effective_at),
      ('entries_never_run_back_in_time', e.previous_effective_at::text, e.effective_at::text,
        e.effective_at < e.previous_effective_at),
      ('entries_never_run_back_in_time', e.previous_created_at::text, e.created_at::text,
        e.created_at < e.previous_created_at),
      ('entries_never_run_back_in_time', e.previous_period::text, e.period::text,
        e.period < e.previous_period)
  ) as v (invariant, expected, actual, is_broken)
  where v.is_broken

  union all
  -- A figure names the last entry that it includes.
  select
    'counters_change_only_with_the_ledger' as invariant,
    g.account_id,
    coalesce(e.last_entry_id, 0)::text as expected,
    g.last_entry_id::text as actual,
    format('grant %s', g.grant_id) as subject
  from credits_private.grants as g
  left join (
    select e.account_id, v.grant_id, max(e.entry_id) as last_entry_id
    from credits_private.entries as e
    cross join lateral (values (e.grant_id), (e.revoked_grant_id)) as v (grant_id)
    group by e.account_id, v.grant_id
  ) as e on e.account_id = g.account_id and e.grant_id = g.grant_id
  where g.last_entry_id <> coalesce(e.last_entry_id, 0)

  union all
  select
    'counters_change_only_with_the_ledger' as invariant,
    u.account_id,
    coalesce(e.last_entry_id, 0)::text as expected,
    u.last_entry_id::text as actual,
    format('period %s, api key %s, operation %s', u.period, u.api_key_id, u.operation) as subject
  from credits_private.usage_counters as u
  left join (
    select
      e.account_id, e.period, coalesce(e.api_key_id, '') as api_key_id,
      coalesce(e.operation, '') as operation, max(e.entry_id) as last_entry_id
    from credits_private.entries as e
    where e.kind in ('deduction', 'capture', 'refund')
    group by 1, 2, 3, 4
  ) as e
    on e.account_id = u.account_id and e.period = u.period
    and e.api_key_id = u.api_key_id and e.operation = u.operation
  where u.last_entry_id <> coalesce(e.last_entry_id, 0)

  union all
  select
    'counters_change_only_with_the_ledger' as invariant,
    a.account_id,
    e.effective_at::text as expected,
    a.last_effective_at::text as actual,
    'last_effective_at' as subject
  from credits_private.accounts as a
  join credits_private.entries as e
    on e.account_id = a.account_id and e.entry_id = a.last_entry_id
  where a.last_effective_at <> e.effective_at or a.last_created_at < e.created_at

  union all
  -- What is free is not below zero.
  select
    'available_is_never_negative' as invariant,
    a.account_id,
    '0 or more' as expected,
    (a.balance + a.debt - a.held + a.overdraft_held)::text as actual,
    'free credit' as subject
  from credits_private.accounts as a
  where a.balance + a.debt < a.held - a.overdraft_held

  union all
  select
    'available_is_never_negative' as invariant,
    g.account_id,
    '0 or more' as expected,
    (g.remaining - g.held)::text as actual,
    format('grant %s', g.grant_id) as subject
  from credits_private.grants as g
  where g.remaining < g.held

  union all
  -- What is available can be spent: an account is due no later than its period ends, a grant
  -- begins, the free part of one expires, or a hold does, and what is left of a grant can be found.
  select
    'available_is_spendable' as invariant,
    a.account_id,
    least(a.period_ends_at, g.due_at)::text as expected,
    a.due_at::text as actual,
    'due_at' as subject
  from credits_private.accounts as a
  left join (
    select d.account_id, min(d.due_at) as due_at
    from (
      select g.account_id, g.expires_at as due_at
      from credits_private.grants as g
      where g.remaining > g.held
      union all
      select g.account_id, g.effective_at
      from credits_private.grants as g
      where g.is_scheduled
      union all
      select h.account_id, h.expires_at
      from credits_private.holds as h
      where h.state = 'open'
    ) as d
    group by d.account_id
  ) as g on g.account_id = a.account_id
  where a.due_at > least(a.period_ends_at, g.due_at)

  union all
  select
    'available_is_spendable' as invariant,
    g.account_id,
    (g.remaining > 0)::text as expected,
    g.is_open::text as actual,
    format('grant %s is open', g.grant_id) as subject
  from credits_private.grants as g
  where g.is_open <> (g.remaining > 0)

  union all
  -- Each key has one transaction, or none and an answer of its own, and each transaction that was
  -- asked for has its key: a deduction in its entry, the others in a row of idempotency_keys, too.
  -- What was settled or tidied up has none: expiries, repayments, grants that were scheduled, and
  -- revocations of what came back.
  select
    'a_request_takes_effect_once' as invariant,
    k.account_id,
    format('transaction %s', k.known_id) as expected,
    format('transaction %s', k.entered_id) as actual,
    format('key %s', k.idempotency_key) as subject
  from (
    select k.account_id, k.idempotency_key, max(k.known_id) as known_id,
      max(k.entered_id) as entered_id, bool_or(k.is_known) as is_known,
      bool_or(k.has_answer) as has_answer, bool_or(k.has_key) as has_key
    from (
      select k.account_id, k.idempotency_key, k.transaction_id as known_id,
        null::bigint as entered_id, true as is_known, k.answer is not null as has_answer,
        false as has_key, null::bigint as unnamed_id
      from credits_private.idempotency_keys as k
      union all
      select e.account_id, e.idempotency_key, null as known_id, e.transaction_id as entered_id,
        false as is_known, false as has_answer,
        e.kind = 'deduction' and e.idempotency_key is not null as has_key,
        case when e.idempotency_key is null then e.entry_id end as unnamed_id
      from credits_private.entries as e
      left join credits_private.grants as g
        on g.account_id = e.account_id and g.grant_id = e.grant_id
      where e.entry_id = e.transaction_id
        and (e.idempotency_key is not null or e.kind in ('deduction', 'capture', 'refund')
          or (e.kind = 'grant' and g.effective_at <= g.created_at))
    ) as k
    group by k.account_id, k.idempotency_key, k.unnamed_id
  ) as k
  where (k.known_id is distinct from k.entered_id and (k.is_known or not k.has_key))
    or (k.known_id is null and not k.has_answer and not k.has_key)

  union all
  -- No entry has been refunded by more than it took.
  select
    'refunds_never_exceed_the_original' as invariant,
    r.account_id,
    format('at most %s', coalesce(-e.amount, 0)) as expected,
    r.amount::text as actual,
    format('entry %s', r.refunded_entry_id) as subject
  from (
    select e.account_id, e.refunded_entry_id, sum(e.amount) as amount
    from credits_private.entries as e
    where e.refunded_entry_id is not null
    group by e.account_id, e.refunded_entry_id
  ) as r
  left join credits_private.entries as e
    on e.account_id = r.account_id and e.entry_id = r.refunded_entry_id
    and e.kind in ('deduction', 'capture')
  where r.amount > coalesce(-e.amount, 0)

  union all
  -- ... nor did more go back to a grant than it had repaid.
  select
    'refunds_never_exceed_the_original' as invariant,
    r.account_id,
    format('at most %s', coalesce(-e.amount, 0)) as expected,
    r.amount::text as actual,
    format('repayment %s', r.repaid_entry_id) as subject
  from (
    select e.account_id, e.repaid_entry_id, sum(e.amount) as amount
    from credits_private.entries as e
    where e.repaid_entry_id is not null
    group by e.account_id, e.repaid_entry_id
  ) as r
  left join credits_private.entries as e
    on e.account_id = r.account_id and e.entry_id = r.repaid_entry_id and e.kind = 'repay'
  where r.amount > coalesce(-e.amount, 0)

  union all
  -- Nothing was drawn from a grant at or after the moment of its expiry, ...
  select
    'expired_credit_is_never_spent' as invariant,
    e.account_id,
    format('before %s', g.expires_at) as expected,
    e.effective_at::text as actual,
    format('entry %s', e.entry_id) as subject
  from credits_private.entries as e
  join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
  where e.kind not in ('expiry', 'capture', 'revocation') and e.effective_at >= g.expires_at

  union all
  -- ... but by the captures of a hold that held it then; ...
  select
    'expired_credit_is_never_spent' as invariant,
    e.account_id,
    format('at most %s', coalesce(p.amount, 0)) as expected,
    e.amount::text as actual,
    format('hold %s, grant %s', e.hold_id, e.grant_id) as subject
  from (
    select e.account_id, e.hold_id, e.grant_id, -sum(e.amount) as amount
    from credits_private.entries as e
    join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
    where e.kind = 'capture' and e.effective_at >= g.expires_at
    group by e.account_id, e.hold_id, e.grant_id
  ) as e
  left join (
    select p.account_id, p.hold_id, p.grant_id, sum(p.amount) as amount
    from credits_private.hold_parts as p
    join credits_private.grants as g on g.account_id = p.account_id and g.grant_id = p.grant_id
    where p.effective_at < g.expires_at
    group by p.account_id, p.hold_id, p.grant_id
  ) as p on p.account_id = e.account_id and p.hold_id = e.hold_id and p.grant_id = e.grant_id
  where e.amount > coalesce(p.amount, 0)

  union all
  -- ... and what expired did so at that moment, or when a hold let go of it, however late it was
  -- booked.
  select
    'settling_late_changes_nothing' as invariant,
    e.account_id,
    g.expires_at::text as expected,
    e.effective_at::text as actual,
    format('entry %s', e.entry_id) as subject
  from credits_private.entries as e
  join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
  where e.kind = 'expiry' and e.effective_at is distinct from g.expires_at
    and not (e.effective_at > g.expires_at and exists (
      select from credits_private.hold_parts as p
      where p.account_id = e.account_id and p.grant_id = e.grant_id and p.amount < 0
        and p.effective_at = e.effective_at))

  union all
  -- A scheduled grant began when it was due, ...
  select
    'settling_late_changes_nothing' as invariant,
    e.account_id,
    g.effective_at::text as expected,
    e.effective_at::text as actual,
    format('entry %s', e.entry_id) as subject
  from credits_private.entries as e
  join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
  where e.kind = 'grant' and g.effective_at > g.created_at and e.effective_at <> g.effective_at

  union all
  -- ... and a hold that expired did so when it was due.
  select
    'settling_late_changes_nothing' as invariant,
    h.account_id,
    h.expires_at::text as expected,
    h.resolved_at::text as actual,
    format('hold %s', h.hold_id) as subject
  from credits_private.holds as h
  where h.state = 'expired' and h.resolved_at is distinct from h.expires_at

  union all
  -- A grant got all of its credits by the entry that made it.
  select
    'every_change_has_an_entry' as invariant,
    g.account_id,
    g.amount::text as expected,
    coalesce(e.amount, 0)::text as actual,
    format('grant %s', g.grant_id) as subject
  from credits_private.grants as g
  left join (
    select e.account_id, e.grant_id, min(e.entry_id) as first_entry_id
    from credits_private.entries as e
    group by e.account_id, e.grant_id
  ) as f on f.account_id = g.account_id and f.grant_id = g.grant_id
  left join credits_private.entries as e
    on e.account_id = f.account_id and e.entry_id = f.first_entry_id
  where case
    when g.is_scheduled or g.cancelled_at is not null then e.amount is not null
    else g.amount is distinct from e.amount
  end

  union all
  -- What is held is what the parts of holds add up to, and only an open hold has any: of an
  -- account, of its overdraft, ...
  select
    'held_equals_open_holds' as invariant,
    a.account_id,
    (coalesce(p.held, 0), coalesce(p.overdraft_held, 0), coalesce(p.parts, 0))::text as expected,
    (a.held, a.overdraft_held, a.last_part_id)::text as actual,
    'held' as subject
  from credits_private.accounts as a
  left join (
    select p.account_id, sum(p.amount) as held, count(*) as parts,
      coalesce(sum(p.amount) filter (where p.grant_id is null), 0) as overdraft_held
    from credits_private.hold_parts as p
    group by p.account_id
  ) as p on p.account_id = a.account_id
  where (a.held, a.overdraft_held, a.last_part_id)
    <> (coalesce(p.held, 0), coalesce(p.overdraft_held, 0), coalesce(p.parts, 0))

  union all
  -- ... of a hold, ...
  select
    'held_equals_open_holds' as invariant,
    h.account_id,
    coalesce(p.held, 0)::text as expected,
    h.held::text as actual,
    format('hold %s', h.hold_id) as subject
  from credits_private.holds as h
  left join (
    select p.account_id, p.hold_id, sum(p.amount) as held
    from credits_private.hold_parts as p
    group by p.account_id, p.hold_id
  ) as p on p.account_id = h.account_id and p.hold_id = h.hold_id
  where h.held <> coalesce(p.held, 0) or (h.held <> 0 and h.state <> 'open')

  union all
  -- ... and of a grant.
  select
    'held_equals_open_holds' as invariant,
    g.account_id,
    coalesce(p.held, 0)::text as expected,
    g.held::text as actual,
    format('grant %s', g.grant_id) as subject
  from credits_private.grants as g
  left join (
    select p.account_id, p.grant_id, sum(p.amount) as held
    from credits_private.hold_parts as p
    where p.grant_id is not null
    group by p.account_id, p.grant_id
  ) as p on p.account_id = g.account_id and p.grant_id = g.grant_id
  where g.held <> coalesce(p.held, 0)

  union all
  -- A hold ends once: with a final capture, or by release or expiry without one, and nothing is
  -- captured after it.
  select
    'a_hold_is_resolved_once' as invariant,
    h.account_id,
    case when h.state = 'captured' then '1 final capture, the last'
      else 'no final capture, none after the end' end as expected,
    format('%s, %s after the end', coalesce(e.final, 0), coalesce(e.late, 0)) as actual,
    format('hold %s', h.hold_id) as subject
  from credits_private.holds as h
  left join (
    select e.account_id, e.hold_id,
      count(*) filter (where e.is_final and e.entry_id = e.transaction_id) as final,
      count(*) filter (where e.effective_at > h.resolved_at) as late
    from credits_private.entries as e
    left join credits_private.holds as h on h.account_id = e.account_id and h.hold_id = e.hold_id
    where e.hold_id is not null
    group by e.account_id, e.hold_id
  ) as e on e.account_id = h.account_id and e.hold_id = h.hold_id
  where coalesce(e.final, 0) <> (h.state = 'captured')::int or coalesce(e.late, 0) > 0
    or (h.resolved_at is null) <> (h.state = 'open')

  union all
  -- What is spent of a limit, in each window since it was set, is what the ledger says.
  select
    'limits_equal_ledger' as invariant,
    u.account_id,
    coalesce(u.expected, '(,)') as expected,
    coalesce(u.actual, '(,)') as actual,
    format('limit %s, window %s, %s', u.limit_id, u.window_start, u.scope_id) as subject
  from (
    select u.account_id, u.limit_id, u.window_start, u.scope_id, max(u.expected) as expected,
      max(u.actual) as actual
    from (
      select u.account_id, u.limit_id, u.window_start, u.scope_id,
        (-sum(u.amount), max(u.entry_id))::text as expected, null as actual
      from credits_private.limit_uses as u
      where u.window_start >= u.counts_from
      group by u.account_id, u.limit_id, u.window_start, u.scope_id
      union all
      select c.account_id, c.limit_id, c.window_start, c.scope_id, null as expected,
        (c.spent, c.last_entry_id)::text as actual
      from credits_private.limit_counters as c
      join credits_private.limits as l on l.account_id = c.account_id and l.limit_id = c.limit_id
      join credits_private.accounts as a
        on a.account_id = c.account_id
        and (l.limit_window <> 'day' or credits_private.is_time_zone(a.time_zone))
    ) as u
    group by u.account_id, u.limit_id, u.window_start, u.scope_id
  ) as u
  where coalesce(u.expected, '(0,0)') <> coalesce(u.actual, '(0,0)')

  union all
  -- No deduction went beyond a limit that was set before it.
  select
    'limits_are_never_passed' as invariant,
    u.account_id,
    format('at most %s', u.most) as expected,
    u.spent::text as actual,
    format('limit %s, entry %s', u.limit_id, u.entry_id) as subject
  from (
    select u.account_id, u.limit_id, u.entry_id, u.kind, u.set_entry_id,
      u.ceiling + u.overage as most,
      -sum(u.amount) over (partition by u.account_id, u.limit_id, u.window_start, u.scope_id
        order by u.entry_id) as spent
    from credits_private.limit_uses as u
  ) as u
  where u.kind = 'deduction' and u.entry_id > u.set_entry_id and u.spent > u.most

  union all
  -- A refund names the entry that it gives back and that entry's transaction; nothing else names any.
  select
    'refunds_never_exceed_the_original' as invariant,
    e.account_id,
    case when e.kind = 'refund' then 'an entry, and its transaction' else 'nothing' end as expected,
    format('entry %s, transaction %s', coalesce(e.refunded_entry_id::text, '-'),
      coalesce(e.refunded_transaction_id::text, '-')) as actual,
    format('what entry %s gives back', e.entry_id) as subject
  from credits_private.entries as e
  left join credits_private.entries as o
    on o.account_id = e.account_id and o.entry_id = e.refunded_entry_id
  where (e.kind = 'refund' or e.refunded_entry_id is not null
      or e.refunded_transaction_id is not null)
    and (e.kind = 'refund' and o.transaction_id = e.refunded_transaction_id) is not true

  union all
  -- What an account says that it has, or has counted, is there: limits, keys of calls that wrote no
  -- entry, grants, holds.
  select
    'counters_change_only_with_the_ledger' as invariant,
    a.account_id,
    v.expected,
    v.actual,
    v.subject
  from credits_private.accounts as a
  left join (
    select g.account_id, max(g.grant_id) as last_id
    from credits_private.grants as g
    group by g.account_id
  ) as g on g.account_id = a.account_id
  left join (
    select h.account_id, max(h.hold_id) as last_id
    from credits_private.holds as h
    group by h.account_id
  ) as h on h.account_id = a.account_id
  left join (
    select l.account_id
    from credits_private.limits as l
    group by l.account_id
  ) as l on l.account_id = a.account_id
  left join (
    select k.account_id
    from credits_private.idempotency_keys as k
    where k.transaction_id is null
    group by k.account_id
  ) as k on k.account_id = a.account_id
  cross join lateral (
    values
      ('last_grant_id', coalesce(g.last_id, 0)::text, a.last_grant_id::text),
      ('last_hold_id', coalesce(h.last_id, 0)::text, a.last_hold_id::text),
      ('has_limits', (l.account_id is not null)::text, a.has_limits::text),
      ('has_keys', (k.account_id is not null)::text, a.has_keys::text)
  ) as v (subject, expected, actual)
  where v.expected <> v.actual

  union all
  -- What is asked back of a grant is what its revocations asked for.
  select
    'grants_equal_ledger' as invariant,
    g.account_id,
    coalesce(r.amount, 0)::text as expected,
    g.revoked::text as actual,
    format('grant %s revoked', g.grant_id) as subject
  from credits_private.grants as g
  left join (
    select r.account_id, r.grant_id, sum(r.amount) as amount
    from credits_private.revocations as r
    group by r.account_id, r.grant_id
  ) as r on r.account_id = g.account_id and r.grant_id = g.grant_id
  where g.revoked <> coalesce(r.amount, 0)

  union all
  -- A hold counts as one call, by its first capture. (Captures from before migration 0005 count where
  -- they are final.)
  select
    'usage_equals_ledger' as invariant,
    e.account_id,
    format('entry %s', e.first_entry_id) as expected,
    format('entry %s', e.counted_entry_id) as actual,
    format('the capture of hold %s that counts as its call', e.hold_id) as subject
  from (
    select e.account_id, e.hold_id,
      min(e.entry_id) filter (where e.is_first is not null) as first_entry_id,
      min(e.entry_id) filter (where e.is_first) as counted_entry_id,
      count(distinct e.transaction_id) filter (where e.is_first) as counted
    from credits_private.entries as e
    where e.kind = 'capture'
    group by e.account_id, e.hold_id
  ) as e
  where e.first_entry_id is not null
    and (e.counted <> 1 or e.counted_entry_id <> e.first_entry_id)

  union all
  -- What rows tell of each other.
  select f.invariant, f.account_id, f.expected, f.actual, f.subject
  from credits_private.account_faults as f

  union all
  select f.invariant, f.account_id, f.expected, f.actual, f.subject
  from credits_private.entry_faults as f

  union all
  select f.invariant, f.account_id, f.expected, f.actual, f.subject
  from credits_private.grant_faults as f

  union all
  select f.invariant, f.account_id, f.expected, f.actual, f.subject
  from credits_private.hold_faults as f

  union all
  select f.invariant, f.account_id, f.expected, f.actual, f.subject
  from credits_private.key_faults as f

  union all
  -- An account's last moment is not ahead of the clock. Where it is, the clock was.
  select
    'the_clock_is_not_ahead' as invariant,
    a.account_id,
    'a moment that has come' as expected,
    a.last_created_at::text as actual,
    'last_created_at' as subject
  from credits_private.accounts as a
  where a.last_created_at > clock_timestamp()

  union all
  -- An account that could not be settled, ...
  select
    'every_account_can_be_settled' as invariant,
    f.account_id,
    format('settled on %s', f.failed_at) as expected,
    format('%s: %s', f.error_code, f.error_message) as actual,
    format('failed %s times, next on %s', f.failures, f.retry_at) as subject
  from credits_private.settle_failures as f

  union all
  -- ... or will not be: the server does not know its time zone, ...
  select
    'every_account_can_be_settled' as invariant,
    a.account_id,
    'a time zone that the server knows' as expected,
    a.time_zone as actual,
    'time zone' as subject
  from credits_private.accounts as a
  where not credits_private.is_time_zone(a.time_zone)

  union all
  -- ... or something is due before what has been booked already.
  select
    'every_account_can_be_settled' as invariant,
    a.account_id,
    format('on or after %s', a.last_effective_at) as expected,
    d.due_at::text as actual,
    d.subject
  from credits_private.accounts as a
  join (
    select g.account_id, g.expires_at as due_at, format('grant %s expires', g.grant_id) as subject
    from credits_private.grants as g
    where g.is_open and g.remaining > g.held
    union all
    select g.account_id, g.effective_at, format('grant %s begins', g.grant_id)
    from credits_private.grants as g
    where g.is_scheduled
    union all
    select h.account_id, h.expires_at, format('hold %s expires', h.hold_id)
    from credits_private.holds as h
    where h.state = 'open'
  ) as d on d.account_id = a.account_id
  where d.due_at < a.last_effective_at

  union all
  -- Nobody calls a function or reads a table but the owner and the roles of sql/roles.sql.
  select
    'only_granted_roles_can_call' as invariant,
    null as account_id,
    'nothing' as expected,
    format('%s for %s', x.privilege_type, x.grantee) collate "default" as actual,
    x.object as subject
  from (
    select f.oid::regprocedure::text as object, f.proowner as owner,
      coalesce(f.proacl, acldefault('f', f.proowner)) as acl
    from pg_catalog.pg_proc as f
    join pg_catalog.pg_namespace as n on n.oid = f.pronamespace
    where n.nspname in ('credits', 'credits_private')
    union all
    select r.oid::regclass::text as object, r.relowner as owner, r.relacl as acl
    from pg_catalog.pg_class as r
    join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
    where n.nspname in ('credits', 'credits_private')
    union all
    select format('%s.%I', r.oid::regclass, c.attname) as object, r.relowner as owner,
      c.attacl as acl
    from pg_catalog.pg_class as r
    join pg_catalog.pg_namespace as n on n.oid = r.relnamespace
    join pg_catalog.pg_attribute as c on c.attrelid = r.oid
    where n.nspname in ('credits', 'credits_private')
    union all
    select n.nspname::text as object, n.nspowner as owner, n.nspacl as acl
    from pg_catalog.pg_namespace as n
    where n.nspname in ('credits', 'credits_private')
  ) as o
  cross join lateral (
    select o.object, p.privilege_type,
      case when p.grantee = 0 then 'PUBLIC' else pg_get_userbyid(p.grantee)::text end as grantee
    from aclexplode(o.acl) as p
    where p.grantee <> o.owner
  ) as x
  where x.grantee not in ('credits_spender', 'credits_granter', 'credits_auditor')
) as d;

comment on view credits.discrepancies is $comment$
One row per broken promise. Empty is healthy, and it is always empty. It reads the whole ledger;
filter by account_id to check one account.
$comment$;

comment on column credits.discrepancies.invariant is
  'the promise, by the name that the design, the tests and the errors use';
comment on column credits.discrepancies.account_id is 'null if it concerns no account';
comment on column credits.discrepancies.expected is 'what the ledger says';
comment on column credits.discrepancies.actual is 'what was found';
comment on column credits.discrepancies.subject is 'which figure, grant, entry or object';
