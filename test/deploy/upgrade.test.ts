import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readOnly } from '../../scripts/postgres/live.ts';
import { readSnapshot } from '../../scripts/snapshot/snapshot.ts';
import { verify } from '../../scripts/verify/examine.ts';
import { shortDiff } from '../../tools/generate/generated.ts';
import { type Called, prepareCallers, startCallers } from '../../tools/torture/callers.ts';
import { deployArguments, findPrevious, unpackPrevious } from '../../tools/torture/previous.ts';
import { createDatabase, type Database } from '../support/database.ts';
import { deployWhileAllWait } from './held-commit.ts';
import { callOf, readerOfViews, writeHistory } from './history.ts';

const previous = findPrevious();
if ('missing' in previous) console.log(`${previous.missing}: the upgrade is left out`);
const label = 'missing' in previous ? 'nothing' : previous.label;

describe.skipIf('missing' in previous)(`the upgrade from ${label}`, () => {
  let db: Database;
  let folder: string;
  let history: Awaited<ReturnType<typeof writeHistory>>;
  let said: Record<'before' | 'after', Record<string, string[]>>;
  let called: Called;
  let locked: { schema: string; name: string; mode: string }[];

  beforeAll(async () => {
    if ('missing' in previous) return;
    db = await createDatabase({ empty: true });
    folder = mkdtempSync(join(tmpdir(), 'pg-credits-upgrade-'));
    const rolePrefix = `${db.rolePrefix}upgrade_`;
    const command = unpackPrevious(previous.ref, folder);
    execFileSync(process.execPath, deployArguments(command, db.url, rolePrefix));
    await prepareCallers(db.url, { rolePrefix });
    history = await writeHistory(db);
    await writeAppViews();
    const readViews = await readerOfViews(db);
    const before = await readViews();

    const callers = await startCallers(db.url, { rolePrefix });
    try {
      await callers.answers(5);
      const { migrations } = await deployWhileAllWait(
        db,
        { rolePrefix },
        callers.pids,
        async () => {
          locked = await locksOfDeploy();
        },
      );
      expect(migrations.length).toBeGreaterThan(0);
      await callers.answers(5);
    } finally {
      called = await callers.stop();
    }
    said = { before, after: await readViews() };
  }, 180_000);

  afterAll(async () => {
    await db?.drop();
    if (folder) rmSync(folder, { recursive: true });
  });

  /** An app has a view of its own on each of ours. */
  const writeAppViews = async () => {
    await db.query('create schema reports');
    for (const { name } of await viewsOf('credits'))
      await db.query(`create view reports.${name} as select * from credits.${name}`);
  };

  const viewsOf = (schema: string) =>
    db.query(`select viewname as name from pg_catalog.pg_views where schemaname = '${schema}'`);

  const locksOfDeploy = () =>
    db.query(
      `select n.nspname as schema, c.relname as name, l.mode
       from pg_locks l join pg_stat_activity a on a.pid = l.pid
       join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
       where a.application_name = 'pg-credits' and a.datname = current_database()
         and l.database = (select oid from pg_database where datname = current_database())`,
    );

  test('callers go on before, during and after it: none gets an error, no call is lost', () => {
    const { calls, longestMs, overtaken } = called;
    console.log(
      `upgrade from ${label}: ${calls} calls, the longest took ${longestMs} ms, ${overtaken} had to be repeated`,
    );
    expect(called).toMatchObject({ errors: [], lost: [], unasked: [] });
  });

  test('it locks nothing of the app’s', () => {
    const ours = /^(credits|credits_private|pg_catalog|pg_toast|information_schema)$/;
    expect(locked.filter(({ schema }) => !ours.test(schema))).toEqual([]);
    expect(locked).toContainEqual(
      expect.objectContaining({
        name: 'accounts',
        mode: expect.stringMatching(/^(Access)?ExclusiveLock$/),
      }),
    );
  });

  test('the schema is that of a fresh install', async () => {
    const fresh = await createDatabase();
    try {
      const [live, expected] = await Promise.all([snapshotOf(db), snapshotOf(fresh)]);
      expect(live === expected ? [] : shortDiff(expected, live)).toEqual([]);
    } finally {
      await fresh.drop();
    }
  });

  test('every promise holds, and the views say of the past what they said', async () => {
    expect(said.after).toEqual(said.before);
    expect(await verify(await db.connect())).toEqual([]);
    expect(await db.query('select * from credits.discrepancies')).toEqual([]);
  });

  test('views of the app on ours are there, and read what ours say', async () => {
    const views = await viewsOf('reports');
    expect(views.length).toBeGreaterThan(5);
    for (const { name } of views) {
      const [app, ours] = await Promise.all(
        ['reports', 'credits'].map((schema) =>
          db.query(`select count(*) as n from ${schema}.${name}`),
        ),
      );
      expect({ name, app }).toEqual({ name, app: ours });
    }
  });

  test('a key that was used before it gets the first answer again', async () => {
    for (const { text, values, answer } of history.recorded) {
      const { refunded, ...first } = answer; // which is that of now
      expect(await db.one(text, values)).toMatchObject({ ...first, replayed: true });
    }
    expect(await db.query('select * from credits.discrepancies')).toEqual([]);
  });

  test('what was begun before it is ended after it', async () => {
    const account_id = 'history';
    const { refundable, holds } = history.begun;
    for (const [i, { transaction, left }] of refundable.entries()) {
      const args = { account_id, transaction_id: transaction, idempotency_key: `late ${i}` };
      const { text, values } = callOf('refund_credits', args);
      expect(await db.one(text, values)).toMatchObject({ amount: left, replayed: false });
    }
    for (const [i, { hold, held }] of holds.entries()) {
      const args = { account_id, hold_id: hold, amount: held, idempotency_key: `capture ${i}` };
      const { text, values } = callOf('capture_hold', args);
      expect(await db.one(text, values)).toMatchObject({ amount: held, held: 0 });
    }
    expect(await db.query('select * from credits.discrepancies')).toEqual([]);
  });
});

const snapshotOf = async (db: Database) => {
  const client = await db.connect();
  return readOnly(client, (live) => readSnapshot(client, live.rolePrefix));
};
