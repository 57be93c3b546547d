import type pg from 'pg';
import { asOwner, hasAdoption, type Parties } from '../app/parties.ts';
import { surveyQuery } from '../app/queries.ts';
import type { Mapping } from '../mapping/mapping.ts';

export type Row = Record<string, string | null> & { account_id: string };

/** Both sides of each account; ours alone for what was adopted and has left the app. */
export async function* pairs(client: pg.ClientBase, mapping: Mapping, parties: Parties) {
  // Each is read to its end.
  await client.query('set local cursor_tuple_fraction = 1');
  await client.query(`declare legacy no scroll cursor for ${legacyQuery(mapping)}`);
  const adopted = await hasAdoption(client);
  if (adopted)
    await asOwner(client, parties, () =>
      client.query(`declare ours no scroll cursor for ${ourQuery}`),
    );
  const [left, right] = [fetch(client, 'legacy'), fetch(client, 'ours', adopted)];
  const next = async (rows: AsyncGenerator<Row, void>) => (await rows.next()).value || undefined;
  let [a, b] = [await next(left), await next(right)];
  while (a || b) {
    const order = !a ? 1 : !b ? -1 : compareBytes(a.account_id, b.account_id);
    yield [order <= 0 ? a : undefined, order >= 0 ? b : undefined] as const;
    if (order <= 0) a = await next(left);
    if (order >= 0) b = await next(right);
  }
}

/** As collate "C" orders them, which is not how JavaScript does. */
const compareBytes = (a: string, b: string) =>
  a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));

async function* fetch(client: pg.ClientBase, cursor: string, exists = true) {
  while (exists) {
    const { rows } = await client.query<Row>(`fetch 2000 from ${cursor}`);
    yield* rows;
    if (rows.length === 0) await client.query(`close ${cursor}`);
    exists = rows.length > 0;
  }
}

/** A row without an account is a failure of the shadow's. */
const legacyQuery = (mapping: Mapping) => `
  select s.account_id, s.balance, s.total as transactions
  from (${surveyQuery(mapping)}) as s
  where s.account_id is not null
  order by s.account_id collate "C"`;

const ourQuery = `
  select a.account_id, a.trust, a.difference as booked, l.balance, f.failures
  from credits_adoption.accounts as a
  join credits_private.accounts as l on l.account_id = a.account_id
  left join (
    select f.account_id, count(*) as failures from credits_adoption.failures as f group by f.account_id
  ) as f on f.account_id = a.account_id
  order by a.account_id collate "C"`;

export async function readMirror(client: pg.ClientBase, parties: Parties) {
  if (!(await hasAdoption(client))) return { mirrored: 0n, failures: [] };
  return asOwner(client, parties, async () => {
    const mirrored = await client.query(
      'select coalesce(sum(m.writes), 0) as writes from credits_adoption.mirrored as m',
    );
    const failures = await client.query(
      `select f.error, count(*) as count from credits_adoption.failures as f
       group by f.error order by count(*) desc, f.error limit 10`,
    );
    return {
      mirrored: BigInt(mirrored.rows[0].writes),
      failures: failures.rows.map(({ error, count }) => ({ error, count: BigInt(count) })),
    };
  });
}
