import type pg from 'pg';
import { readOnly } from '../lib/live.ts';
import { become } from '../lib/roles.ts';
import type { Mapping } from './mapping.ts';
import { asOwner, hasAdoption, type Parties } from './parties.ts';
import { surveyQuery } from './reading.ts';
import { readShadow, type ShadowState } from './shadow.ts';

export interface Compared {
  account_id: string;
  /** As the app shows it; null where it shows none. */
  balance: bigint | null;
  /** What its transactions sum up to. */
  transactions: bigint;
  trust: 'transactions' | 'balance' | null;
  ours: bigint | null;
  /** Ours less what is trusted; null for an account that is not adopted. */
  difference: bigint | null;
  /** Its writes that could not be mirrored. */
  failures: bigint;
}

export interface Sample {
  at: string;
  shadow: ShadowState;
  accounts: bigint;
  agree: bigint;
  differ: bigint;
  not_adopted: bigint;
  /** The differences, each without its sign. */
  off_by: bigint;
  /** Those that differ most. */
  worst: Compared[];
  /** Some that are not adopted. */
  missing: string[];
  mirrored: bigint;
  failures: { error: string; count: bigint }[];
}

const shown = 10;

/** Both books as of one moment; nothing is changed, whoever writes meanwhile. */
export const compare = (client: pg.ClientBase, mapping: Mapping, parties: Parties) =>
  readOnly(client, async () => {
    await become(client, parties.user);
    return readSample(client, mapping, parties);
  });

/** In the caller's transaction. Account by account from two cursors: memory does not grow with rows. */
export async function readSample(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
): Promise<Sample> {
  const { rows } = await client.query('select pg_catalog.now() as at');
  const counts = { accounts: 0n, agree: 0n, differ: 0n, not_adopted: 0n, off_by: 0n };
  const shadow = await readShadow(client, mapping);
  const sample: Sample = {
    at: rows[0].at.toISOString(),
    shadow,
    ...counts,
    worst: [],
    missing: [],
    ...(await readMirror(client, parties)),
  };
  for await (const [legacy, ours] of pairs(client, mapping, parties))
    count(sample, compareAccount(legacy, ours));
  return sample;
}

function compareAccount(legacy: Row | undefined, ours: Row | undefined): Compared {
  const balance = whole(legacy?.balance);
  const transactions = whole(legacy?.transactions) ?? 0n;
  const trust = (ours?.trust ?? null) as Compared['trust'];
  const trusted = trust === 'balance' ? (balance ?? transactions) : transactions;
  const booked = whole(ours?.balance);
  return {
    account_id: (legacy ?? ours)?.account_id ?? '',
    balance,
    transactions,
    trust,
    ours: booked,
    difference: trust === null || booked === null ? null : booked - trusted,
    failures: whole(ours?.failures) ?? 0n,
  };
}

const whole = (text: string | null | undefined) => (text == null ? null : BigInt(text));
const size = (value: bigint | null) => ((value ?? 0n) < 0n ? -(value ?? 0n) : (value ?? 0n));

function count(sample: Sample, account: Compared) {
  sample.accounts += 1n;
  if (account.difference === null) {
    sample.not_adopted += 1n;
    if (sample.missing.length < shown) sample.missing.push(account.account_id);
  } else if (account.difference === 0n) {
    sample.agree += 1n;
  } else {
    sample.differ += 1n;
    sample.off_by += size(account.difference);
    sample.worst.push(account);
    sample.worst.sort((a, b) => Number(size(b.difference) - size(a.difference)));
    sample.worst.length = Math.min(sample.worst.length, shown);
  }
}

type Row = Record<string, string | null> & { account_id: string };

/** Both sides of each account; ours alone for what was adopted and has left the app. */
async function* pairs(client: pg.ClientBase, mapping: Mapping, parties: Parties) {
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
  select a.account_id, a.trust, l.balance, f.failures
  from credits_adoption.accounts as a
  join credits_private.accounts as l on l.account_id = a.account_id
  left join (
    select f.account_id, count(*) as failures from credits_adoption.failures as f group by f.account_id
  ) as f on f.account_id = a.account_id
  order by a.account_id collate "C"`;

async function readMirror(client: pg.ClientBase, parties: Parties) {
  if (!(await hasAdoption(client))) return { mirrored: 0n, failures: [] };
  return asOwner(client, parties, async () => {
    const mirrored = await client.query(
      'select coalesce(sum(m.writes), 0) as writes from credits_adoption.mirrored as m',
    );
    const failures = await client.query(
      `select f.error, count(*) as count from credits_adoption.failures as f
       group by f.error order by count(*) desc, f.error limit ${shown}`,
    );
    return {
      mirrored: BigInt(mirrored.rows[0].writes),
      failures: failures.rows.map(({ error, count }) => ({ error, count: BigInt(count) })),
    };
  });
}
