import { beforeAll, expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import { callers, callsOf, furnish, ofTexts, outcomeOf, plainly, type Way } from './outcomes.ts';
import { createStateFunction } from './state.ts';

// A value comes as what Postgres turns into an argument's type by itself: a domain, a shorter number,
// a name, a field. A function sees the value.
const db = useDatabase();
const account = 'Team-1';
let sessions: Awaited<ReturnType<typeof callers>>;

/** Our own names for types: `timestamp with time zone` is `time`, `text[]` is `texts`. */
const word = (type: string) => type.replace(/ .*/, '').replace('[]', 's');
const types = ['text', 'text[]', 'bigint', 'integer', 'boolean', 'jsonb', 'interval'];
const all = [...types, 'timestamp with time zone'];

const ways: Record<string, Way> = {
  'as what the parser makes of them': { expression: (value) => value },
  'of a column': { ...plainly, isColumn: true },
  'of a domain': { expression: (value, type) => `${value}::pg_temp.of_${word(type)}` },
  'of an array of a domain': {
    expression: (value, type, n) =>
      type === 'text[]' ? `${value}::pg_temp.of_text[]` : plainly.expression(value, type, n),
  },
  'of a composite': {
    expression: (value, type) => `(row(${value})::pg_temp.with_${word(type)}).field`,
  },
  'of varchar': {
    expression: ofTexts((value, type) => `${value}::${type.replace('text', 'varchar(90)')}`),
  },
  'of char, padded': {
    expression: ofTexts((value, type) => `${value}::${type.replace('text', 'char(60)')}`),
  },
  'of name, which is in "C"': {
    expression: ofTexts((value, type) => `${value}::${type.replace('text', 'name')}`),
    isColumn: true,
  },
  'of smallint': {
    expression: (value, type) => `${value}::${type.replace(/bigint|integer/, 'smallint')}`,
  },
  'of arrays with another lower bound': {
    expression: (value, type) =>
      type === 'text[]' ? `('[7:7]=' || ${value}::text[]::text)::text[]` : `${value}::${type}`,
  },
  'of arrays of two dimensions': {
    expression: (value, type) =>
      type === 'text[]' ? `array[${value}::text[]]` : `${value}::${type}`,
  },
};

beforeAll(async () => {
  await createStateFunction(db);
  await furnish(db, account);
  sessions = await callers(db);
  for (const session of sessions.all)
    for (const type of all)
      await session.query(`create domain pg_temp.of_${word(type)} as ${type};
        create type pg_temp.with_${word(type)} as (field ${type})`);
});

test("every type of a public function's argument is tried here", async () => {
  const used = (await callsOf(db, account)).flatMap(({ parameters }) => parameters);
  expect([...new Set(used.map(({ type }) => type))].sort()).toEqual([...all].sort());
});

test.each(Object.entries(ways))('arguments %s keep their values', async (_, way) => {
  for (const call of await callsOf(db, account)) {
    const client = sessions.of(call);
    for (const first of [undefined, call])
      expect({ [call.name]: await outcomeOf(client, call, way, first) }).toEqual({
        [call.name]: await outcomeOf(client, call, plainly, first),
      });
  }
});

test('a type that ignores case, made a text, does not', async () => {
  const [citext] = await db.query(`select from pg_available_extensions where name = 'citext'`);
  if (!citext) return;
  await db.query('create extension citext');
  const ignoring: Way = {
    expression: ofTexts((value, type) => `${value}::public.${type.replace('text', 'citext')}`),
  };
  for (const call of await callsOf(db, account)) {
    const other = { ...call, args: call.args.map((arg) => (arg === account ? 'TEAM-1' : arg)) };
    const client = sessions.of(call);
    expect({ [call.name]: await outcomeOf(client, other, ignoring, call) }).toEqual({
      [call.name]: await outcomeOf(client, other, plainly, call),
    });
  }
});

test('a uuid is no account until it is made a text, whoever calls', async () => {
  const id = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
  await db.query('select credits.grant_credits($1, 10, $1)', [id]);
  for (const call of await callsOf(db, id)) {
    if (call.parameters[0]?.name !== 'p_account_id') continue;
    const outcome = (type: string) =>
      outcomeOf(sessions.of(call), call, {
        expression: (value, of, n) =>
          n === 0 ? `${value}::${type}` : plainly.expression(value, of, n),
      });
    expect((await outcome('uuid')).answer, call.name).toContain('"code":"42883"');
    expect((await outcome('uuid::text')).answer, call.name).not.toContain('"code":"42883"');
  }
});

test('after arguments of every type, every promise holds', async () => {
  expect(await discrepancies(db)).toEqual([]);
});
