import { expect, test } from 'vitest';
import { settleAt } from '../../support/calls.ts';
import { useDatabase } from '../../support/database.ts';
import { discrepancies } from '../../support/discrepancies.ts';
import { writeHistory } from '../../support/history.ts';
import { moment } from '../../support/time.ts';

const db = useDatabase();
type Row = { grant_id: number | null; amount: number; held: number };

interface Known {
  balance: number;
  held: number;
  grants: Record<string, number>;
}

/** What the rows of the account and of its grants say at present. */
async function known(account: string): Promise<Known> {
  const { balance, held, grants } = await db.one(
    `select balance, held, (
       select coalesce(jsonb_object_agg(grant_id, remaining) filter (where remaining > 0), '{}')
       from credits_private.remainders as g where g.account_id = a.account_id) as grants
     from credits_private.accounts as a where account_id = $1`,
    [account],
  );
  return { balance, held, grants };
}

function summed(rows: Row[]): Known {
  const sums: Known = { balance: 0, held: 0, grants: {} };
  for (const { grant_id, amount, held } of rows) {
    sums.balance += amount;
    sums.held += held;
    if (grant_id !== null) sums.grants[grant_id] = (sums.grants[grant_id] ?? 0) + amount;
  }
  const left = Object.entries(sums.grants).filter(([, amount]) => amount > 0);
  return { ...sums, grants: Object.fromEntries(left) };
}

test.each([61, 62])(
  'explain_balance says for every past moment what stood there then, however late it was booked (seed %i)',
  async (seed) => {
    const [watched, late] = [`${seed} watched`, `${seed} late`];
    const was = new Map<number, Known>();
    let begun = false;
    const end = await writeHistory(db, watched, seed, {
      settle: async (from, to) => {
        const moments = begun && from < to ? [from, Math.floor((from + to) / 2)] : [];
        for (const at of moments) {
          await settleAt(db, watched, at);
          was.set(at, await known(watched));
        }
        begun = true; // the first call opens the account
      },
    });
    await settleAt(db, watched, end);
    was.set(end, await known(watched));
    expect(was.size).toBeGreaterThan(50);
    expect([...was.values()].some(({ balance }) => balance < 0)).toBe(true);
    expect([...was.values()].some(({ held }) => held > 0)).toBe(true);

    await writeHistory(db, late, seed);
    for (const account of [watched, late]) {
      await settleAt(db, account, end);
      const rows = await db.query(
        `select m.at, e.grant_id, e.amount, e.held
         from unnest($2::timestamptz[]) with ordinality as m (moment, at)
         cross join credits_private.explain_balance_at($1, m.moment, $3) as e`,
        [account, [...was.keys()].map(moment), moment(end)],
      );
      for (const [n, [at, then]] of [...was].entries()) {
        expect(summed(rows.filter((row) => row.at === n + 1)), moment(at)).toEqual(then);
      }
    }
    expect(await discrepancies(db)).toEqual([]);
  },
);
