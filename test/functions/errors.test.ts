import { beforeAll, expect, test } from 'vitest';
import { call } from '../support/calls.ts';
import { type Raised, raised, useDatabase } from '../support/database.ts';
import { everything } from '../support/ledger.ts';
import { malformed, validOf } from './malformed.ts';
import { accountIsClosed, createSituation, noSuchAccount, refusals, reuses } from './refusals.ts';

// Each public function × each SQLSTATE that its comment promises: code, constraint, detail, and that
// nothing has changed. A function, parameter or code of the catalogue that has no case fails.
const db = useDatabase();
let before: string;
beforeAll(async () => {
  await createSituation(db);
  before = await everything(db);
});

const names = [...new Set(malformed.map(({ name }) => name))];
const opens = ['grant_credits', 'open_account'];
const begins = [
  ...['open_account', 'grant_credits', 'deduct_credits', 'hold_credits', 'extend_hold'],
  ...['set_limit', 'remove_limit', 'set_overdraft_limit'],
];
const keyed = names.filter((name) => 'p_idempotency_key' in validOf(name));
const accounts = names.filter((name) => malformed.find((m) => m.name === name)?.bad.p_account_id);
const all = [
  ...refusals,
  ...keyed.flatMap((name) => reuses(name, validOf(name))),
  ...accounts
    .filter((name) => !opens.includes(name))
    .map((name) => noSuchAccount(name, validOf(name))),
  ...begins.map((name) => accountIsClosed(name, validOf(name))),
];

interface Described {
  name: string;
  parameters: string[];
  promised: string[];
}
/** From the catalogue: the parameters, and the codes that the comment names after `Raises`. */
const described = async (): Promise<Described[]> => {
  const rows = await db.query(
    `select proname as name, proargnames[:pronargs] as parameters,
       obj_description(oid, 'pg_proc') as comment
     from pg_proc where pronamespace = 'credits'::regnamespace order by 1`,
  );
  return rows.map(({ comment, ...each }) => {
    const [, raises = ''] = /\bRaises (.*?)(\n\n|$)/s.exec(comment ?? '') ?? [];
    return { ...each, promised: raises.match(/\b(PT\d{3}|22023)\b/g) ?? [] };
  });
};

test('every code that a public function’s comment promises has a case, and no other code has', async () => {
  const promised = (await described()).map(({ name, promised }) => [
    name,
    // The schema's comment promises this one of every function.
    [...new Set([...promised, '22023'])].sort(),
  ]);
  const tested = names.sort().map((name) => {
    const codes = all.filter((each) => each.name === name).map(({ code }) => code);
    return [name, [...new Set([...codes, '22023'])].sort()];
  });
  expect(Object.fromEntries(tested)).toEqual(Object.fromEntries(promised));
});

test('every parameter of a public function has malformed values', async () => {
  for (const { name, parameters } of await described()) {
    const rows = malformed.filter((each) => each.name === name);
    const tested = rows.flatMap(({ bad }) => Object.keys(bad));
    expect([...new Set(tested)].sort(), name).toEqual([...parameters].sort());
  }
});

test('the sound call of every function, from which its malformed ones depart, is answered', async () => {
  const client = await db.connect();
  for (const { name, valid, bad } of malformed) {
    await client.query('begin');
    await call(client, name, { ...(bad.p_account_id ? { p_account_id: 'acme' } : {}), ...valid });
    await client.query('rollback');
  }
});

/** An error as every one is: constant words, advice, and nothing changed. */
async function refusal(attempt: (account: string) => Promise<unknown>): Promise<Raised> {
  const [error, other] = [await raised(attempt('acme')), await raised(attempt('other'))];
  expect(other.message).toBe(error.message);
  expect(error.message.replace('kB', 'bytes')).toMatch(/^[^A-Z]+$/);
  expect(error.hint).toBeTruthy();
  expect(error.detail.invariant).toBe(error.constraint || undefined);
  expect(await everything(db)).toBe(before);
  return error;
}

for (const { name, code, when, args, account = '', constraint, detail } of all) {
  test(`${code}: ${name} is refused when ${when}`, async () => {
    const error = await refusal((base) =>
      call(db, name, { p_account_id: `${account}${base}`, ...args }),
    );
    expect(error.code).toBe(code);
    expect(error.constraint || undefined).toBe(constraint);
    expect(error.detail).toEqual({
      account_id: `${account}acme`,
      ...detail,
      ...(constraint ? { invariant: constraint } : {}),
    });
  });
}

for (const { name, valid, bad, together = [] } of malformed) {
  const alone = Object.entries(bad).flatMap(([argument, values]) =>
    Object.entries(values).map(([what, value]) => ({
      what,
      argument,
      args: { [argument]: value },
    })),
  );
  const pairs = together.map(([what, argument, args]) => ({ what, argument, args }));
  const mode = 'p_all_or_nothing' in valid ? ` (all or nothing: ${valid.p_all_or_nothing})` : '';
  for (const { what, argument, args } of [...alone, ...pairs]) {
    test(`22023: ${name} refuses ${what} as ${argument}${mode}`, async () => {
      const account = bad.p_account_id ? { account_id: 'acme' } : {};
      const error = await refusal((id) =>
        call(db, name, { ...(bad.p_account_id ? { p_account_id: id } : {}), ...valid, ...args }),
      );
      expect(error).toMatchObject({ code: '22023', detail: { argument } });
      expect(error.constraint || undefined).toBeUndefined();
      if (argument !== 'p_account_id') expect(error.detail).toMatchObject(account);
    });
  }
}
