-- requires: views/invoice.sql
-- requires: views/invoice_lines.sql
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
  -- What remains of a grant is the sum of its entries.
  select
    'grants_equal_ledger' as invariant,
    coalesce(g.account_id, e.account_id) as account_id,
    coalesce(e.amount, 0)::text as expected,
    g.remaining::text as actual,
    format('grant %s', coalesce(g.grant_id, e.grant_id)) as subject
  from credits_private.grants as g
  full join (
    select e.account_id, e.grant_id, sum(e.amount) as amount
    from credits_private.entries as e
    group by e.account_id, e.grant_id
  ) as e on e.account_id = g.account_id and e.grant_id = g.grant_id
  where g.remaining is distinct from coalesce(e.amount, 0)

  union all
  -- The balance is what remains of all grants.
  select
    'balance_equals_grants_less_debt' as invariant,
    a.account_id,
    coalesce(g.remaining, 0)::text as expected,
    a.balance::text as actual,
    'balance' as subject
  from credits_private.accounts as a
  left join (
    select g.account_id, sum(g.remaining) as remaining
    from credits_private.grants as g
    group by g.account_id
  ) as g on g.account_id = a.account_id
  where a.balance <> coalesce(g.remaining, 0)

  union all
  -- The counters say what the ledger says, per period, API key and operation.
  select
    'usage_equals_ledger' as invariant,
    coalesce(u.account_id, e.account_id) as account_id,
    (e.credits_used, e.credits_refunded, e.calls)::text as expected,
    (u.credits_used, u.credits_refunded, u.calls)::text as actual,
    format('period %s, api key %s, operation %s', coalesce(u.period, e.period),
      coalesce(u.api_key_id, e.api_key_id), coalesce(u.operation, e.operation)) as subject
  from credits_private.usage_counters as u
  full join (
    select
      l.account_id, l.period, coalesce(l.api_key_id, '') as api_key_id,
      coalesce(l.operation, '') as operation, l.credits_used, l.credits_refunded, l.calls
    from credits.invoice_lines as l
  ) as e
    on e.account_id = u.account_id and e.period = u.period
    and e.api_key_id = u.api_key_id and e.operation = u.operation
  where u.credits_used is distinct from e.credits_used
    or u.credits_refunded is distinct from e.credits_refunded
    or u.calls is distinct from e.calls

  union all
  -- An invoice leads from its opening to its closing balance.
  select
    'invoice_equals_balance_delta' as invariant,
    i.account_id,
    (i.closing_balance - i.opening_balance)::text as expected,

         (i.credits_granted - i.credits_used + i.credits_refunded - i.credits_expired
      - i.credits_revoked)::text as actual,
    format('period %s', i.period) as subject
  from credits.invoice as i
  where i.closing_balance - i.opening_balance <> i.credits_granted - i.credits_used
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
    select e.account_id, e.grant_id, max(e.entry_id) as last_entry_id
    from credits_private.entries as e
    group by e.account_id, e.grant_id
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
    where e.kind in ('deduction', 'refund')
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
  -- Nothing is below zero.
  select
    'available_is_never_negative' as invariant,
    a.account_id,
    '0 or more' as expected,
    a.balance::text as actual,
    'balance' as subject
  from credits_private.accounts as a
  where a.balance < 0

  union all
  select
    'available_is_never_negative' as invariant,
    g.account_id,
    '0 or more' as expected,
    g.remaining::text as actual,
    format('grant %s', g.grant_id) as subject
  from credits_private.grants as g
  where g.remaining < 0

  union all
  -- What is available can be spent: an account is due no later than its first grant expires or its
  -- period ends, and what is left of a grant can be found.
  select
    'available_is_spendable' as invariant,
    a.account_id,
    least(a.period_ends_at, g.expires_at)::text as expected,
    a.due_at::text as actual,
    'due_at' as subject
  from credits_private.accounts as a
  left join (
    select g.account_id, min(g.expires_at) as expires_at
    from credits_private.grants as g
    where g.remaining > 0
    group by g.account_id
  ) as g on g.account_id = a.account_id
  where a.due_at > least(a.period_ends_at, g.expires_at)

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
  -- Each key has one transaction, and each transaction that was asked for has its key.
  select
    'a_request_takes_effect_once' as invariant,
    coalesce(k.account_id, e.account_id) as account_id,
    format('transaction %s', k.transaction_id) as expected,
    format('transaction %s', e.transaction_id) as actual,
    format('key %s', coalesce(k.idempotency_key, e.idempotency_key)) as subject
  from credits_private.idempotency_keys as k
  full join (
    select e.account_id, e.transaction_id, e.idempotency_key
    from credits_private.entries as e
    where e.entry_id = e.transaction_id and e.kind <> 'expiry'
  ) as e on e.account_id = k.account_id and e.idempotency_key = k.idempotency_key
  where k.transaction_id is distinct from e.transaction_id

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
    on e.account_id = r.account_id and e.entry_id = r.refunded_entry_id and e.kind = 'deduction'
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
  where e.kind <> 'expiry' and e.effective_at >= g.expires_at

  union all
  -- ... and what expired did so at that moment, however late it was booked.
  select
    'settling_late_changes_nothing' as invariant,
    e.account_id,
    g.expires_at::text as expected,
    e.effective_at::text as actual,
    format('entry %s', e.entry_id) as subject
  from credits_private.entries as e
  join credits_private.grants as g on g.account_id = e.account_id and g.grant_id = e.grant_id
  where e.kind = 'expiry' and e.effective_at is distinct from g.expires_at

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
  where g.amount is distinct from e.amount

  union all
  -- Nobody calls a function or reads a table because everybody may.
  select
    'only_granted_roles_can_call' as invariant,
    null as account_id,
    'nothing for public' as expected,
    x.privilege_type as actual,
    x.object as subject
  from (
    select f.oid::regprocedure::text as object, f.pronamespace as namespace,
      coalesce(f.proacl, acldefault('f', f.proowner)) as acl
    from pg_catalog.pg_proc as f
    union all
    select r.oid::regclass::text as object, r.relnamespace as namespace, r.relacl as acl
    from pg_catalog.pg_class as r
    union all
    select format('%s.%I', r.oid::regclass, c.attname) as object, r.relnamespace as namespace,
      c.attacl as acl
    from pg_catalog.pg_class as r
    join pg_catalog.pg_attribute as c on c.attrelid = r.oid
    union all
    select n.nspname::text as object, n.oid as namespace, n.nspacl as acl
    from pg_catalog.pg_namespace as n
  ) as o
  join pg_catalog.pg_namespace as n on n.oid = o.namespace
  cross join lateral (
    select o.object, p.privilege_type from aclexplode(o.acl) as p where p.grantee = 0
  ) as x
  where n.nspname in ('credits', 'credits_private')
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
