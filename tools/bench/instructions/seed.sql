-- Twenty accounts per kind of call, so that no kind sees what another one changes. They come beside
-- acct-1 to acct-20 of bench.seed, and have a grant and a deduction like these.

do $$
declare
  v_kind text;
  v_account_id text;
begin
  foreach v_kind in array array[
    'limited', 'scoped', 'held', 'holding', 'refunded', 'granted', 'replayed', 'batched'] loop
    for i in 1..20 loop
      v_account_id := v_kind || '-' || i;
      perform credits.grant_credits(v_account_id, 1000000000, 'grant');
      perform credits.deduct_credits(v_account_id, 1, 'first', 'key_live_1', '/execute');
    end loop;
  end loop;

  for i in 1..20 loop
    perform credits.set_limit('limited-' || i, 'monthly', 1000000000000);

    perform credits.grant_credits(
      'scoped-' || i, 1000000000, 'search', p_operations => '{/search}');

    perform r.hold_id
    from credits.hold_credits('held-' || i, 10, 'hold') as h,
      credits.release_hold('held-' || i, h.hold_id, 'release') as r;

    for j in 0..2 loop
      perform credits.deduct_credits('replayed-' || i, 1,
        'request ' || lpad((20 * j + i - 1)::text, 6, '0'), 'key_live_' || j + 1, '/execute');
    end loop;
  end loop;
end
$$;
