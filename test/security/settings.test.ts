import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import { callers, callsOf, furnish, outcomeOf, plainly } from './outcomes.ts';
import { login } from './sessions.ts';
import { rounds, unsettle } from './settings.ts';
import { createStateFunction } from './state.ts';

// In a session that has set all that a caller may set, every function answers and leaves behind, and
// every view shows, what it does in a plain one.
const db = useDatabase();
const account = 'Team-1';
let expected: Awaited<ReturnType<typeof outcomes>>;

/** Of each function: of a call that is new, and of one that was made before. */
async function outcomes(sessions: Awaited<ReturnType<typeof callers>>) {
  const found: { name: string; answer: string; state: string[] }[] = [];
  for (const call of await callsOf(db, account))
    for (const first of [undefined, call]) {
      const outcome = await outcomeOf(sessions.of(call), call, plainly, first);
      found.push({ name: call.name, ...outcome });
    }
  return found;
}

beforeAll(async () => {
  await createStateFunction(db);
  await furnish(db, account, 'another');
  expected = await outcomes(await callers(db));
});

test.each(rounds)('every function does the same with odd settings (%i)', async (round) => {
  const sessions = await callers(db);
  for (const session of sessions.all) {
    // That one keeps a session from every view, those that functions read, too.
    const set = await unsettle(session, round, ['restrict_nonsystem_relation_kind']);
    expect(Object.keys(set).length).toBeGreaterThan(100);
  }
  for (const [i, outcome] of (await outcomes(sessions)).entries())
    expect(outcome).toEqual(expected[i]);
});

const instants = (text: string) =>
  text.replace(/\d{4}-\d\d-\d\dT[\d:.]+[+-][\d:]+/g, (time) => new Date(time).toISOString());

/** Every row of every view. */
async function shown(auditor: pg.Client): Promise<string[]> {
  const views = await db.query(`select relname as name from pg_class
    where relnamespace = 'credits'::regnamespace and relkind = 'v' order by 1`);
  const rows: string[] = [];
  for (const { name } of views) {
    const found = await auditor.query(
      `select pg_catalog.to_jsonb(t)::pg_catalog.text as row from credits.${name} as t`,
    );
    rows.push(...found.rows.map(({ row }) => `${name}: ${instants(row)}`).sort());
  }
  return rows;
}

test.each(rounds)('every view shows the same with odd settings (%i)', async (round) => {
  const plain = await shown(await login(db, 'credits_auditor'));
  expect(plain.length).toBeGreaterThan(20);
  const auditor = await login(db, 'credits_auditor');
  await unsettle(auditor, round, ['restrict_nonsystem_relation_kind']);
  expect(await shown(auditor)).toEqual(plain);
});

test('every function that would write says so in a session that may not', async () => {
  const sessions = await callers(db);
  for (const session of sessions.all) await session.query('set default_transaction_read_only = on');
  const answered: string[] = [];
  for (const call of await callsOf(db, account)) {
    const { answer } = await outcomeOf(sessions.of(call), call);
    if (!answer.includes('"code":"25006"')) answered.push(call.name);
  }
  expect(answered).toEqual(['available_for', 'explain_balance']);
});

test('after calls with odd settings, every promise holds', async () => {
  expect(await discrepancies(db)).toEqual([]);
});
