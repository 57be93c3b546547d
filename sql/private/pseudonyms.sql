-- Forgetting a person: ids become pseudonyms, and figures stay.

-- Pseudonyms are numbered in the order in which the ids first spent, so they say nothing of the
-- ids. An id that is a pseudonym already stays, and its number is not given again: a repeat forgets
-- only what came since. Entries, holds and counters get the same pseudonyms, so that every figure
-- finds its group again.
create or replace function credits_private.pseudonyms(p_account_id text)
returns table (kind text, id text, pseudonym text)
language sql stable
set search_path = pg_temp
as $$
  with ids as (
    select v.kind, v.id, min(u.at) as first_at
    from (
      select e.api_key_id, e.run_id, e.entry_id as at
      from credits_private.entries as e
      where e.account_id = p_account_id
      union all
      select h.api_key_id, h.run_id, h.hold_id + credits_private.max_amount()
      from credits_private.holds as h
      where h.account_id = p_account_id
    ) as u
    cross join lateral (values ('api_key', u.api_key_id), ('run', u.run_id)) as v (kind, id)
    where v.id is not null
    group by v.kind, v.id
  )
  select i.kind, i.id,
    format('forgotten %s %s', replace(i.kind, '_', ' '), i.known + row_number() over (
      partition by i.kind order by i.first_at, i.id collate "C"))
  from (
    select ids.*, max(n.number) over (partition by ids.kind) as known, n.number
    from ids
    cross join lateral (
      select coalesce(substring(
        ids.id from '^forgotten (?:api key|run) ([0-9]{1,9})$')::int, 0) as number
    ) as n
  ) as i
  where i.number = 0
$$;

-- Forgetting switches no limit off. A limit goes on counting, under the real id, whatever it names,
-- whatever it has counted in the running window, and whatever open holds reserve, and it knows the
-- pseudonym of that id. Everything else that it has counted is forgotten. This reads the holds'
-- ids, so it runs before they are replaced.
create or replace function credits_private.forget_in_limits(
  p_account credits_private.account, p_api_keys jsonb, p_runs jsonb
) returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_limit credits_private.spending_limit;
  v_pseudonyms jsonb;
  v_kept text[];
begin
  for v_limit in
    select l.*
    from credits_private.limits as l
    where l.account_id = p_account.account_id and l.scope in ('api_key', 'run')
  loop
    -- A closed account that holds nothing will spend nothing: there is nothing left to limit.
    if p_account.closed_at is not null and p_account.held = 0 then
      perform credits_private.delete_limit(v_limit.account_id, v_limit.limit_id);
      continue;
    end if;
    v_pseudonyms := case v_limit.scope when 'run' then p_runs else p_api_keys end;
    v_kept := array(
      select k.id
      from jsonb_object_keys(v_pseudonyms) as k (id)
      where k.id = v_limit.scope_id
        or exists (
          select from jsonb_each_text(v_limit.pseudonyms) as p where p.value = k.id)
        or exists (
          select from credits_private.limit_counters as c
          where c.account_id = v_limit.account_id and c.limit_id = v_limit.limit_id
            and c.scope_id = k.id and c.last_entry_id > 0
            and c.window_start = credits_private.limit_window_start(
              v_limit.limit_window, p_account.period, p_account.last_created_at,
              p_account.time_zone))
        or exists (
          select from credits_private.holds as h
          where h.account_id = v_limit.account_id and h.state = 'open'
            and credits_private.limit_scope_id(v_limit.scope, v_limit.scope_id,
              v_limit.pseudonyms, h.api_key_id, h.operation, h.run_id) = k.id));

    update credits_private.limits as l
    set pseudonyms = coalesce(l.pseudonyms, '{}') || (
      select jsonb_object_agg(v_pseudonyms ->> k.id, k.id) from unnest(v_kept) as k (id))
    where l.account_id = v_limit.account_id and l.limit_id = v_limit.limit_id and v_kept <> '{}';
    update credits_private.limit_counters as c
    set scope_id = v_pseudonyms ->> c.scope_id
    where c.account_id = v_limit.account_id and c.limit_id = v_limit.limit_id
      and v_pseudonyms ? c.scope_id and c.scope_id <> all (v_kept);
  end loop;
end
$$;

-- Where the ledger no longer has a deduction's arguments, their digest recognises a repeat: a row
-- of idempotency_keys for each deduction, as deduction_key gives one (requests.sql), but in one
-- statement. Key by key, it would cost 95 us an entry.
create or replace function credits_private.keep_deduction_keys(p_account_id text)
returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  insert into credits_private.idempotency_keys (
    transaction_id, available, account_id, idempotency_key, fingerprint)
  select t.transaction_id, coalesce(t.available, l.balance_after), t.account_id,
    t.idempotency_key,
    credits_private.deduction_fingerprint(t.balance_after - t.amount - l.balance_after,
      t.api_key_id, t.operation, t.run_id)
  from credits_private.entries as t
  join credits_private.entries as l
    on l.account_id = t.account_id and l.entry_id = t.entry_id + t.entry_count - 1
  where t.account_id = p_account_id and t.kind = 'deduction' and t.idempotency_key is not null
  on conflict do nothing;
end
$$;

create or replace function credits_private.forget_ids(p_account credits_private.account)
returns void
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account_id text := p_account.account_id;
  v_api_keys jsonb;
  v_runs jsonb;
begin
  select
    coalesce(jsonb_object_agg(p.id, p.pseudonym) filter (where p.kind = 'api_key'), '{}'),
    coalesce(jsonb_object_agg(p.id, p.pseudonym) filter (where p.kind = 'run'), '{}')
  into v_api_keys, v_runs
  from credits_private.pseudonyms(v_account_id) as p;
  perform credits_private.forget_in_limits(p_account, v_api_keys, v_runs);
  update credits_private.accounts as a
  set has_limits = false
  where a.account_id = v_account_id and a.has_limits and not exists (
    select from credits_private.limits as l where l.account_id = v_account_id);

  perform credits_private.keep_deduction_keys(v_account_id);
  update credits_private.entries as e
  set metadata = null, api_key_id = coalesce(v_api_keys ->> e.api_key_id, e.api_key_id),
    run_id = coalesce(v_runs ->> e.run_id, e.run_id)
  where e.account_id = v_account_id and (e.metadata is not null
    or v_api_keys ? e.api_key_id or v_runs ? e.run_id);
  update credits_private.holds as h
  set metadata = '{}', api_key_id = coalesce(v_api_keys ->> h.api_key_id, h.api_key_id),
    run_id = coalesce(v_runs ->> h.run_id, h.run_id)
  where h.account_id = v_account_id;
  update credits_private.usage_counters as u
  set api_key_id = v_api_keys ->> u.api_key_id
  where u.account_id = v_account_id and v_api_keys ? u.api_key_id;
end
$$;

create or replace function credits_private.forget_account_at(
  p_account_id text, p_at timestamptz
) returns credits.account_result
language plpgsql
set search_path = pg_temp
as $$
declare
  v_account credits_private.account;
begin
  perform credits_private.check_id(p_account_id, 'p_account_id', p_account_id);
  v_account := credits_private.enter(p_account_id, p_at);
  update credits_private.accounts as a
  set last_created_at = v_account.last_created_at
  where a.account_id = p_account_id;
  perform credits_private.keep_account_metadata(p_account_id, p_metadata => '{}');
  update credits_private.grants as g
  set metadata = '{}'
  where g.account_id = p_account_id and g.metadata <> '{}';
  perform credits_private.forget_ids(v_account);
  return credits_private.account_answer(p_account_id, v_account.last_created_at);
end
$$;
