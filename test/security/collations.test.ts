import { beforeAll, describe, expect, inject, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import {
  type Call,
  callers,
  callsOf,
  furnish,
  type Outcome,
  ofTexts,
  outcomeOf,
  plainly,
  type Way,
} from './outcomes.ts';
import { createStateFunction, stateOf } from './state.ts';

// A text comes with the collation of the caller's expression. Whatever that is, an account, a key, a
// unit, a limit, a word of ours is the one that is spelled so.
const db = useDatabase();
const account = 'Team-1';

interface Collation {
  sql: string;
  /** Another text, which is equal by the collation. */
  respelled(text: string): string;
  from: number;
}
const swap = (letter: string) =>
  letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const collations: Record<string, Collation> = {
  'case and punctuation': {
    sql: `(provider = icu, locale = 'und-u-ks-level1-ka-shifted', deterministic = false)`,
    respelled: (text) =>
      text.replace(/\p{L}/gu, swap).replace(/[ -]/g, (c) => (c === ' ' ? '-' : ' ')),
    from: 15,
  },
  'all letters': {
    sql: `(provider = icu, locale = 'und', deterministic = false, rules = '&${[...letters].join('=')}')`,
    respelled: (text) =>
      text.replace(/[a-z]/gi, (c) => letters[(letters.indexOf(c) + 1) % 52] ?? c),
    from: 16,
  },
};

const collated = ofTexts((value, type) => `${value}::${type} collate pg_temp.equal`);
const inC = ofTexts((value, type) => `${value}::${type} collate "C"`);
const clause: Way = { expression: collated };
const ways: Record<string, Way> = {
  clause,
  column: { expression: collated, isColumn: true },
  'columns that disagree': {
    expression: (value, type, n) => (n % 2 ? inC : collated)(value, type, n),
    isColumn: true,
  },
  domain: {
    expression: ofTexts((value, type) => `${value}::pg_temp.${type.replace('text', 'word')}`),
  },
  'field of a composite': {
    expression: ofTexts(
      (value, type) => `(row(${value})::pg_temp.with_${type.replace('[]', 's')}).field`,
    ),
  },
};

beforeAll(async () => {
  await createStateFunction(db);
  await furnish(db, account);
  await db.query(`select credits.grant_credits('team-1', 70, 'A new key')`);
});

interface Variant {
  what: string;
  call: Call;
  isOtherAccount: boolean;
}

/** The call as it is, and with one of its texts respelled, or what it is by default. */
async function variants(call: Call, respelled: (text: string) => string): Promise<Variant[]> {
  const found = [{ what: 'as it is', call, isOtherAccount: false }];
  const respell = (value: unknown): unknown =>
    Array.isArray(value) ? value.map(respell) : respelled(String(value));
  for (const [i, { name, isCollated, default: expression }] of call.parameters.entries()) {
    if (!isCollated) continue;
    const isOtherAccount = name === 'p_account_id';
    const change = (value: unknown) => {
      const args = call.args.with(i, value);
      found.push({ what: `${name} ${value}`, call: { ...call, args }, isOtherAccount });
    };
    change(respell(call.args[i]));
    const { value } = await db.one(`select ${expression ?? 'null'} as value`);
    if (value !== null) [value, respell(value)].forEach(change);
  }
  return found;
}

/** No account of that name: nothing is found, or that one is opened, and no other one changes. */
function expectAnother({ answer, state }: Outcome, name: string, before: string[]) {
  if (state.length === 0) expect(answer).toContain('PT404');
  else expect(state.filter((row) => !row.includes(`"account_id": "${name}"`))).toEqual(before);
}

const usable = Object.entries(collations).filter(([, { from }]) => inject('major') >= from);

describe.each(usable)('a collation by which %s are equal', (_, { sql, respelled }) => {
  let sessions: Awaited<ReturnType<typeof callers>>;
  beforeAll(async () => {
    sessions = await callers(db);
    for (const session of sessions.all)
      await session.query(`create collation pg_temp.equal ${sql};
        create collation pg_temp."default" ${sql};
        create domain pg_temp.word as text collate pg_temp.equal;
        create type pg_temp.with_text as (field text collate pg_temp.equal);
        create type pg_temp.with_texts as (field text[] collate pg_temp.equal)`);
  });

  test('makes them equal where a caller compares', async () => {
    for (const session of sessions.all) {
      const equal = session.query('select $1 collate pg_temp.equal = $2 as equal', [
        account,
        respelled(account),
      ]);
      expect((await equal).rows).toEqual([{ equal: true }]);
    }
  });

  test('changes no call of any function, however it comes', async () => {
    const calls = await callsOf(db, account);
    for (const call of calls) {
      const client = sessions.of(call);
      const before = await stateOf(client);
      const done = await outcomeOf(client, call);
      expect(done.state, `${call.name} is to be done, for a start: ${done.answer}`).not.toEqual([]);
      for (const variant of await variants(call, respelled)) {
        const isMain = variant.call === call || variant.isOtherAccount;
        for (const first of [undefined, call]) {
          const plain = await outcomeOf(client, variant.call, plainly, first);
          for (const [how, way] of Object.entries(isMain ? ways : { clause }))
            expect([
              `${call.name}, ${variant.what}, by ${how}`,
              await outcomeOf(client, variant.call, way, first),
            ]).toEqual([`${call.name}, ${variant.what}, by ${how}`, plain]);
          if (variant.isOtherAccount && !first) expectAnother(plain, respelled(account), before);
        }
      }
    }
    const texts = calls.flatMap(({ parameters }) => parameters.filter((p) => p.isCollated));
    expect(texts.length).toBeGreaterThan(40);
  });
});

test('after calls with odd collations, every promise holds', async () => {
  expect(await discrepancies(db)).toEqual([]);
});
