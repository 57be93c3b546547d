import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type Act, type Ask, acts, everybody } from './acts.ts';

export interface CallersOptions {
  count?: number;
  /** The prefix of the deployment's roles; the callers act as a role of the app's that is granted them. */
  rolePrefix: string;
}

export interface Called {
  calls: number;
  longestMs: number;
  errors: string[];
  /** Calls that a deploy found waiting inside a version that did not wait for deploys first: they had to be repeated. */
  overtaken: number;
  /** Keys of transactions that were answered and are not in the ledger, or the other way round. */
  lost: string[];
  unasked: string[];
}

export interface Callers {
  pids: number[];
  /** The keys so far. */
  errors: readonly string[];
  /** Resolves once each of them has had that many more answers. */
  answers(more: number): Promise<void>;
  stop(): Promise<Called>;
}

/** Done once per database, by a superuser: a role and a table of the app's own, and credits to spend. */
export async function prepareCallers(url: string, { count = 4, rolePrefix }: CallersOptions) {
  const client = await connected(url);
  const app = pg.escapeIdentifier(`${rolePrefix}app`);
  const roles = ['spender', 'granter', 'auditor'].map((kind) => `${rolePrefix}credits_${kind}`);
  await client.query(`
    create role ${app}; grant ${roles.join(', ')} to ${app};
    create schema app authorization ${app};
    create table app.orders (key text primary key, transaction_id bigint not null);
    alter table app.orders owner to ${app}`);
  const accounts = [everybody, ...Array.from({ length: count }, (_, i) => accountOf(i))];
  for (const account of accounts)
    await client.query(`select 1 from credits.grant_credits($1, 1000000, 'first')`, [account]);
  await client.end();
}

/** Callers that go on until they are stopped; after an error, a caller runs the whole again, with the same keys. */
export async function startCallers(url: string, options: CallersOptions): Promise<Callers> {
  const { count = 4, rolePrefix } = options;
  const clients = await Promise.all(Array.from({ length: count }, () => connected(url)));
  const able = await actsOf(clients[0] as pg.Client);
  const called = { calls: 0, longestMs: 0, errors: [] as string[], overtaken: 0 };
  const waits = await waitsForDeploys(clients[0] as pg.Client);
  const made: string[] = [];
  const answered = clients.map(() => 0);
  const pids: number[] = [];
  let going = true;
  let stopped: Promise<Called> | undefined;

  const call = async (client: pg.Client, caller: number) => {
    const ask: Ask = async (text, values, name) => {
      const started = performance.now();
      try {
        return (await client.query({ text, values, ...(name ? { name } : {}) })).rows[0];
      } finally {
        called.calls += 1;
        called.longestMs = Math.max(called.longestMs, Math.round(performance.now() - started));
      }
    };
    for (let n = 0; going; n += 1) {
      const act = able[(n + caller) % able.length] as Act;
      const work = () => act.run(ask, accountOf(caller), `caller ${caller} call ${n}`);
      const keys = await work().catch(async (error) => {
        if (!waits && replaced.has(error.code)) called.overtaken += 1;
        else called.errors.push(`${error.code}: ${error.message}`);
        await client.query('rollback');
        return work();
      });
      made.push(...keys);
      answered[caller] = n + 1;
      await sleep(20); // callers, not a benchmark: what runs beside them needs the machine too
    }
  };

  for (const client of clients) {
    await client.query(`set role ${pg.escapeIdentifier(`${rolePrefix}app`)}`);
    pids.push((await client.query('select pg_backend_pid() as pid')).rows[0].pid);
  }
  const running = clients.map(call);
  const failed = Promise.all(running).then(() => {});
  failed.catch(() => {}); // handled by those that wait for answers, and by stop()
  return {
    pids,
    errors: called.errors,
    async answers(more) {
      const enough = answered.map((n) => n + more);
      const behind = () => answered.some((n, i) => n < (enough[i] ?? 0));
      while (behind()) await Promise.race([sleep(2), failed]);
    },
    stop() {
      going = false;
      stopped ??= failed
        .then(() => compare(clients[0] as pg.Client, made))
        .then((compared) => ({ ...called, ...compared }))
        .finally(() => Promise.all(clients.map((client) => client.end())));
      return stopped;
    },
  };
}

// No such function, no such cast, a row that the query does not expect.
const replaced = new Set(['42883', '42846', '42804']);

/** Whether this version's functions wait for a deploy before they call anything that it could replace. */
async function waitsForDeploys(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query(
    `select prosrc like '%for key share%' as waits from pg_proc
     where pronamespace = 'credits'::regnamespace and proname = 'deduct_credits'`,
  );
  return rows[0].waits;
}

async function actsOf(client: pg.Client): Promise<Act[]> {
  const { rows } = await client.query(
    `select proname as name from pg_proc where pronamespace = 'credits'::regnamespace`,
  );
  const there = new Set(rows.map(({ name }) => name));
  return acts.filter(({ needs }) => needs.every((name) => there.has(name)));
}

async function compare(client: pg.Client, made: string[]) {
  const { rows } = await client.query(
    `select idempotency_key as key from credits.transactions where idempotency_key like 'caller %'`,
  );
  const [booked, answered] = [new Set(rows.map(({ key }) => key)), new Set(made)];
  return {
    lost: made.filter((key) => !booked.has(key)),
    unasked: [...booked].filter((key) => !answered.has(key)),
  };
}

const accountOf = (caller: number) => `callers ${caller}`;

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}
