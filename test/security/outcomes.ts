import type pg from 'pg';
import { type Database, raised } from '../support/database.ts';
import { argumentOf, type Parameter, type PublicFunction, publicFunctions } from './arguments.ts';
import { login } from './sessions.ts';
import { masked, stateOf } from './state.ts';

// Calls of every public function, each by a role that may call it, on an account for which they all
// are done: every text in it is the account's name.

/** As an expression, what the nth argument is; or a column of this expression. */
export interface Way {
  expression(value: string, type: string, n: number): string;
  isColumn?: boolean;
}
/** Two types are named so that a temporary one of their name is not meant. */
export const plainly: Way = {
  expression: (value, type) => `${value}::${type.replace(/^(text|jsonb)/, 'pg_catalog.$1')}`,
};

/** The same for texts and arrays of them alone. */
export const ofTexts =
  (expression: Way['expression']): Way['expression'] =>
  (value, type, n) =>
    type.startsWith('text') ? expression(value, type, n) : plainly.expression(value, type, n);

export interface Call extends PublicFunction {
  args: unknown[];
}

/** Accounts with everything, as a superuser makes them. */
export async function furnish(db: Database, ...accounts: string[]): Promise<void> {
  const calls = [
    `open_account(a, a, p_overdraft_limit => 500)`,
    `grant_credits(a, 1000, 'anything')`,
    `grant_credits(a, 1000, a, p_source => a, p_operations => array[a])`,
    `deduct_credits(a, 1, a || '.', a, a, a, jsonb_build_object(a, a))`,
    `hold_credits(a, 1, a || '-', '1 hour', a, a, a)`,
    `set_limit(a, a, 100, 'api_key', a)`,
  ];
  for (const call of calls)
    await db.query(`select from unnest($1::text[]) as a, credits.${call}`, [accounts]);
}

/** Each public function, with arguments for which it is done, of that account. */
export async function callsOf(db: Database, account: string): Promise<Call[]> {
  const textOf = ({ name }: Parameter) =>
    /^p_(idempotency_key|deductions)$/.test(name) ? 'A new key' : account;
  return (await publicFunctions(db)).map((each) => ({
    ...each,
    args: each.parameters.map((p) => argumentOf(p, account, textOf(p))),
  }));
}

/** A session for each role of ours, and whose a function is: of the first that may call it. */
export async function callers(db: Database) {
  const roles = ['credits_spender', 'credits_granter', 'credits_auditor'];
  const all = await Promise.all(roles.map((role) => login(db, role)));
  const rows = await db.query(
    `select proname as name, array_agg(r.n::int) as callers
     from pg_proc as p
     join unnest($1::text[]) with ordinality as r (role, n)
       on has_function_privilege(r.role, p.oid, 'execute')
     where pronamespace = 'credits'::regnamespace group by 1`,
    [roles.map((role) => db.rolePrefix + role)],
  );
  const of = ({ name }: { name: string }): pg.Client => {
    const session = all[rows.find((row) => row.name === name)?.callers[0] - 1];
    if (!session) throw new Error(`${name}: no role may call it: see sql/roles.sql`);
    return session;
  };
  return { all, of };
}

export function ask(client: pg.Client, { name, parameters, args }: Call, way: Way) {
  const expressions = parameters.map((p, i) => way.expression(`$${i + 1}`, p.type, i));
  const columns = expressions.map((expression, i) => `${expression} as c${i}`).join(', ');
  const from = way.isColumn ? `(select ${columns}) as given, ` : '';
  const list = parameters.map(
    (p, i) => `${p.name} => ${way.isColumn ? `given.c${i}` : expressions[i]}`,
  );
  return client.query(
    `select pg_catalog.to_jsonb(answer) as answer from ${from}credits.${name}(${list.join(', ')}) as answer`,
    args,
  );
}

export interface Outcome {
  answer: string;
  /** Nothing, if an error was raised: then nothing has changed. */
  state: string[];
}

/** What a call answers and leaves behind, also after another one; then all of it is undone. */
export async function outcomeOf(
  client: pg.Client,
  call: Call,
  way: Way = plainly,
  first?: Call,
): Promise<Outcome> {
  await client.query('begin');
  try {
    if (first) await ask(client, first, plainly);
    const asked = ask(client, call, way);
    const failed = await asked.then(
      () => false,
      () => true,
    );
    if (failed) {
      const { code, constraint, detail } = await raised(asked);
      return { answer: masked({ code, constraint, detail }), state: [] };
    }
    return { answer: masked((await asked).rows), state: await stateOf(client) };
  } finally {
    await client.query('rollback');
  }
}
