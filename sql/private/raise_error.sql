-- How functions refuse: raise_… raises an error; …_refusal returns it as a value, for a batch to
-- answer with; check_… and require_… (of nulls) raise it or return nothing; refuse_… is a guard,
-- the function of a trigger.
--
-- The one place that raises. `invariant` goes into the detail as well as into the constraint field,
-- because an engine between us and the caller may drop the latter.
create or replace function credits_private.raise_error(
  p_code text, p_message text, p_detail jsonb, p_hint text, p_invariant text = null
) returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  raise exception using
    errcode = p_code,
    message = p_message,
    detail = jsonb_strip_nulls(p_detail || jsonb_build_object('invariant', p_invariant))::text,
    hint = p_hint,
    constraint = coalesce(p_invariant, '');
end
$$;

-- Raises a refusal that came as a value; null is none.
create or replace function credits_private.raise_refusal(p_refusal credits_private.refusal)
returns void
language plpgsql
set search_path = pg_temp
as $$
begin
  if p_refusal.code is not null then
    perform credits_private.raise_error(p_refusal.code, p_refusal.message, p_refusal.detail,
      p_refusal.hint, p_refusal.invariant);
  end if;
end
$$;
