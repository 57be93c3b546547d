import fc from 'fast-check';
import pg from 'pg';
import { expect } from 'vitest';
import { batchAt, callAt } from '../support/calls.ts';
import type { Database } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import type { Answer, Call } from './account.ts';
import { books, expectedBooks } from './books.ts';
import { accounts, history, type Step } from './commands.ts';
import { perform } from './model.ts';
import { momentOf, type Situation, toCall } from './situation.ts';

/** Who calls, each in a time zone of its own, which must not matter, and who looks at the books. */
export interface Connections {
  callers: pg.Client[];
  reader: pg.Client;
}
export async function connect(db: Database): Promise<Connections> {
  const zones = ['UTC', 'America/Havana', 'Pacific/Kiritimati', 'UTC'];
  const clients = await Promise.all(zones.map(() => db.connect()));
  await Promise.all(clients.map((client, i) => client.query(`set time zone '${zones[i]}'`)));
  const [reader, ...callers] = clients;
  if (!reader) throw new Error('no reader');
  // Its query is long, and planned once.
  await reader.query('set plan_cache_mode = force_generic_plan');
  return { callers, reader };
}

const inSql: Record<string, (value: number) => string> = {
  effective_at: (ms) => new Date(ms).toISOString(),
  expires_at: (ms) => new Date(ms).toISOString(),
  expires_in: (ms) => `${ms / 1000} seconds`,
};

/** What the database answers a call at a moment: rows, or the code that it raises. */
async function ask(client: pg.Client, { name, args }: Call, at: string): Promise<Answer[]> {
  const named = Object.entries(args).map(([argument, value]) => [
    `p_${argument}`,
    typeof value === 'number' ? (inSql[argument]?.(value) ?? value) : value,
  ]);
  try {
    if (name !== 'deduct_credits_batch')
      return [await callAt(client, name, at, Object.fromEntries(named))];
    const rows = await batchAt(client, at, args.deductions, args.all_or_nothing);
    return rows.map((row) => (row.error_code ? { code: row.error_code } : row));
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    // The error arrives before its transaction ends, and until then settle_due finds its lock.
    await client.query('select');
    return [{ code: error.code }];
  }
}

let histories = 0;

/** Any history of at most so many steps. */
export const agreement = (db: Database, connections: Connections, maxLength: number) =>
  fc.asyncProperty(history(maxLength), async (steps) => {
    histories += 1;
    // After today, so that to the views, which look at the clock, nothing is due; and before all
    // earlier ones, so that settle_due finds no account of theirs.
    const at = Date.UTC(9000 - (histories % 6000), 0, 30);
    const now: Situation = { name: `${histories}`, at, world: {}, past: [] };
    for (const step of steps) await play(step, now, connections);
    for (const account of Object.keys(now.world))
      expect(await discrepancies(db, account)).toEqual([]);
  });

/** One step, in the database and in the model: the same answers, and then the same books. */
async function play(step: Step, now: Situation, { callers, reader }: Connections): Promise<void> {
  now.at = momentOf(step, now);
  const calls = step.commands.map((command) => {
    const call = toCall(command, now);
    now.past.push(call);
    return call;
  });
  const answers = await Promise.all(
    calls.map((call, i) => {
      const caller = callers[(step.client + i) % callers.length] ?? reader;
      return ask(caller, call, new Date(now.at).toISOString());
    }),
  );
  const moment = { at: now.at, operation: now.past.length % 2 ? null : 'search' };
  const names = accounts.map((account) => `${now.name} ${account}`);
  const seen = { answers, books: await books(reader, names, moment) };

  const inTurn = calls.map((_, i) => i);
  const errors: unknown[] = [];
  for (const order of [inTurn, inTurn.toReversed()]) {
    const { world, answers } = outcome(now, calls, order);
    try {
      const what = `${JSON.stringify(calls)} at ${new Date(now.at).toISOString()}`;
      expect(seen, what).toMatchObject({ answers, books: expectedBooks(world, moment) });
      now.world = world;
      return;
    } catch (error) {
      errors.push(error);
    }
  }
  throw errors[0];
}

/**
 * The answers of calls in one order, and the world after them. For two calls at once, either order
 * will do.
 */
function outcome({ world, at }: Situation, calls: Call[], order: number[]) {
  const answers: Answer[][] = [];
  let after = world;
  for (const i of order) {
    const call = calls[i];
    if (call) [after, answers[i]] = perform(after, at, call);
  }
  return { world: after, answers };
}
