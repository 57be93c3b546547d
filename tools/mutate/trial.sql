-- Makes a change and takes it back, and answers with its outcome: the constraint that refused it, the promises that it
-- newly broke for the accounts that it concerns, or the error that the search for them ended with.
create or replace function pg_temp.try_change(p_statement text, p_before jsonb, p_role text) returns jsonb
language plpgsql
as $$
declare
  v_account_ids text[];
  v_account_id text;
  v_constraint text;
  v_message text;
  v_found text;
begin
  begin
    if p_role is not null then
      perform set_config('role', p_role, true);
    else
      perform set_config('session_replication_role', 'replica', true);
    end if;
    begin
      execute p_statement into v_account_ids;
    exception when others then
      get stacked diagnostics v_constraint = constraint_name, v_message = message_text;
      raise exception using errcode = 'MUTAN', message = jsonb_build_object(
        'outcome', 'refused', 'by', coalesce(nullif(v_constraint, ''), v_message));
    end;
    if v_account_ids is null then
      raise exception using errcode = 'MUTAN', message = '{"outcome": "none"}';
    elsif p_role is not null then
      raise exception using errcode = 'MUTAN', message = '{"outcome": "unfound"}';
    end if;
    begin
      for v_account_id in select distinct u.id from unnest(v_account_ids) as u (id) loop
        select concat_ws(', ', v_found, string_agg(f.invariant, ', ')) into v_found
        from (
          select d.invariant, count(*) as count
          from credits.discrepancies as d
          where d.account_id = v_account_id
          group by d.invariant
        ) as f
        where f.count > coalesce((p_before ->> (v_account_id || '/' || f.invariant))::bigint, 0);
      end loop;
    exception when others then
      raise exception using errcode = 'MUTAN', message = jsonb_build_object(
        'outcome', 'broke', 'by', sqlerrm);
    end;
    raise exception using errcode = 'MUTAN', message = jsonb_build_object(
      'outcome', case when v_found = '' then 'unfound' else 'found' end, 'by', v_found);
  exception when sqlstate 'MUTAN' then
    return sqlerrm::jsonb;
  end;
end
$$;
