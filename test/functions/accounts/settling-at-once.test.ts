import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { deductAt, grantAt, holdAt, overdraftAt, refundAt, revokeAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { randomNumbers, seedOf } from '../../support/random.ts';
import { DAY, HOUR, moment, us } from '../../support/time.ts';

// Settling works out all that is due, and books it in a few statements. Each thing by itself, with
// the functions that calls use, is what it must come to.
const db = useDatabase();
const seed = seedOf();
const start = us('2024-01-10T00:00:00Z');

let client: pg.Client;
beforeAll(async () => {
  client = await db.connect();
  await client.query(`create function public.settle_one_by_one(
      p_account credits_private.account, p_at timestamptz
    ) returns void language plpgsql as $$
    declare
      v_due record;
      v_entry credits_private.entry;
    begin
      for v_due in
        select d.* from credits_private.due as d
        where d.account_id = p_account.account_id and d.at <= p_at
        order by d.at, d.step, d.id
      loop
        if v_due.kind = 'hold expires' then
          p_account := credits_private.resolve_hold(p_account, v_due.id, 'expired', v_due.at, p_at);
        elsif v_due.kind = 'grant expires' then
          p_account := credits_private.expire_grant(p_account, v_due.id, v_due.at, p_at);
        elsif v_due.kind = 'grant begins' then
          v_entry.kind := 'grant';
          v_entry.effective_at := v_due.at;
          v_entry.created_at := p_at;
          p_account := credits_private.write_entries(
            p_account, v_entry, array[v_due.id], array[v_due.amount]);
          update credits_private.grants as g set is_scheduled = false
          where g.account_id = p_account.account_id and g.grant_id = v_due.id;
          p_account := credits_private.tidy(
            p_account, array[v_due.id], array[v_due.amount], v_due.at, p_at);
        end if;
      end loop;
      perform credits_private.advance_account(p_account, p_at);
    end $$`);
});

/** Much that comes due, some of it at the same instant: ends and beginnings are whole tens of days. */
async function writeMuchDue(account: string, seed: number): Promise<void> {
  const { below, pick } = randomNumbers(seed);
  const spent: number[] = [];
  let [grants, now] = [0, start];
  const later = () => start + (1 + below(4)) * 10 * DAY;
  const scope = () => pick(null, null, ['search'], ['search', 'execute']);
  const grant = (key: string) => {
    const effective = pick(null, null, null, later());
    const expires = pick(null, null, Math.max(effective ?? 0, later()) + pick(0, 0, 10 * DAY, 1));
    const terms = { expires: expires === effective ? null : expires, effective };
    const priority = pick(1, 2, 100);
    const asked = { key, amount: 5 + below(60), operations: scope(), priority, ...terms };
    return grantAt(db, account, now, asked).then(() => (grants += 1));
  };
  const hold = (key: string) => {
    const expiresIn = `${(later() - now) / 1_000_000} seconds`;
    const operation = pick(null, 'search', 'execute');
    return holdAt(db, account, now, { key, amount: 1 + below(70), operation, expiresIn });
  };
  const deduct = async (key: string) => {
    const asked = { key, amount: 1 + below(60), operation: pick(null, 'search') };
    spent.push((await deductAt(db, account, now, asked)).transaction_id);
  };
  const refund = (key: string) =>
    refundAt(db, account, now, { key, transaction: spent[below(spent.length)] ?? 1, amount: 2 });
  const revoke = (key: string) => {
    const onSpent = pick<'clamp' | 'debt'>('clamp', 'debt');
    const asked = { key, grant: 1 + below(grants), amount: pick(null, 1 + below(30)), onSpent };
    return revokeAt(db, account, now, asked);
  };
  const actions = [grant, grant, hold, hold, hold, deduct, deduct, refund, revoke];
  await grant('first');
  await overdraftAt(db, account, now, 150);
  for (let step = 0; step < 70; step += 1) {
    now += HOUR * pick(0, 1, step > 35 ? 9 : 1);
    const action = actions[below(actions.length)] ?? grant;
    await action(`${step}`).catch((error) => {
      if (!/^PT4/.test(error.code)) throw error;
    });
  }
}

/** All rows of an account and its figures, without how many rows a statement wrote. */
const books = (account: string, at: string) => `select jsonb_build_object(
  'account', (select to_jsonb(a) from credits_private.accounts as a where a.account_id = '${account}'),
  'entries', (select jsonb_agg(to_jsonb(e) - 'statement_entries' order by e.entry_id)
    from credits_private.entries as e where e.account_id = '${account}'),
  'parts', (select jsonb_agg(to_jsonb(p) - 'statement_parts' order by p.part_id)
    from credits_private.hold_parts as p where p.account_id = '${account}'),
  'holds', (select jsonb_agg(h order by h.hold_id)
    from credits_private.holds as h where h.account_id = '${account}'),
  'grants', (select jsonb_agg(g order by g.grant_id)
    from credits_private.grants as g where g.account_id = '${account}'),
  ${figures(account, at)}) as books`;
const figures = (account: string, at: string) => `
  'figures', (select to_jsonb(f) from credits_private.figures('${account}', 'search', '${at}') as f),
  'of grants', (select jsonb_agg(g order by g.grant_id)
    from credits_private.grants_at('${account}', '${at}') as g)`;

test(`what settling books at once is what it would book one by one (seed ${seed})`, async () => {
  const late = moment(start + 45 * DAY);
  const seen = { begun: 0, taken: 0, replaced: 0, expired: 0, repaid: 0, returned: 0 };
  for (const each of [1, 2, 3, 4, seed]) {
    const account = `account ${each}`;
    await writeMuchDue(account, each);
    const settled = async (settle: string) => {
      await client.query('begin');
      await client.query(`select ${settle}(row(a.*)::credits_private.account, '${late}')
        from credits_private.accounts as a where a.account_id = '${account}'`);
      const { rows } = await client.query(books(account, late));
      await client.query('rollback');
      return rows[0].books;
    };
    const forecast = await db.one(`select jsonb_build_object(${figures(account, late)}) as books`);
    const effects = await db.query(
      `select e.* from credits_private.accounts as a
       cross join credits_private.due_effects(a.account_id, $2, a.debt) as e
       where a.account_id = $1`,
      [account, late],
    );
    for (const [what, sum] of Object.entries(seen))
      seen[what as keyof typeof seen] = sum + effects.filter((each) => each[what] > 0).length;
    const oneByOne = await settled('public.settle_one_by_one');
    expect(await settled('credits_private.settle'), account).toEqual(oneByOne);
    expect(oneByOne, account).toMatchObject(forecast.books);
    await db.query('select credits_private.settle_account_at($1, $2)', [account, late]);
  }
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0);
  expect(await discrepancies(db)).toEqual([]);
});

/** Rows inserted and updated in this session, by table: those of its last transactions, too. */
async function written(): Promise<Record<string, number[]>> {
  const { rows } = await client.query(
    `select relname, n_tup_ins::int as inserted, n_tup_upd::int as updated
     from pg_stat_xact_user_tables where relname in
       ('accounts', 'entries', 'grants', 'hold_parts', 'holds')`,
  );
  return Object.fromEntries(rows.map((row) => [row.relname, [row.inserted, row.updated]]));
}

test('however much is due, settling changes each row once', async () => {
  const account = 'much';
  const holds = 300;
  await grantAt(db, account, start, { key: 'grant', amount: 10 * holds });
  await overdraftAt(db, account, start, 10_000);
  for (let n = 0; n < holds; n += 1)
    await holdAt(db, account, start, { key: `h${n}`, amount: 10, expiresIn: `${n + 1} minutes` });
  await deductAt(db, account, start, { key: 'debt', amount: 5000 });
  await client.query('begin');
  const before = await written();
  await client.query(`select credits_private.settle_account_at('much', '2024-01-20Z')`);
  const after = await written();
  const changed = Object.entries(after).map(([table, now]) => [
    table,
    now.map((count, i) => count - (before[table]?.[i] ?? 0)),
  ]);
  expect(Object.fromEntries(changed)).toEqual({
    accounts: [0, 3], // its parts, its entries, and the next moment
    entries: [2 * holds, 0],
    grants: [0, 2],
    hold_parts: [holds, 0],
    holds: [0, 2 * holds],
  });
  await client.query('commit');
  expect(await discrepancies(db)).toEqual([]);
});
