import type pg from 'pg';
import { beforeAll, expect, test } from 'vitest';
import { readInvoices } from '../../scripts/invoice/invoices.ts';
import { describe as describeInvoice } from '../../scripts/invoice/text.ts';
import { raised, useDatabase } from '../support/database.ts';
import { discrepancies } from '../support/discrepancies.ts';
import { tablesOf } from '../support/ledger.ts';
import {
  argumentOf,
  choices,
  hostile,
  isFree,
  type PublicFunction,
  publicFunctions,
} from './arguments.ts';

// What is text to us arrives as that text, or is refused by name; it is never anything else.
const db = useDatabase();

let client: pg.Client;
/** Every string in every row that we keep of the accounts, names in documents included. */
async function kept(accounts: string[]): Promise<Set<unknown>> {
  const rows = (await tablesOf(db, true)).map(
    (name) => `select to_jsonb(t) as row from ${name} as t where account_id = any ($1)`,
  );
  const { rows: found } = await client.query(rows.join(' union all '), [accounts]);
  return new Set(stringsIn(found));
}
function stringsIn(value: unknown): unknown[] {
  if (typeof value !== 'object' || value === null) return [value];
  return Object.entries(value).flatMap(([key, each]) => [key, ...stringsIn(each)]);
}

beforeAll(async () => {
  client = await db.connect();
  await db.query(`select credits.open_account('acme', p_overdraft_limit => 500)`);
  const calls = [
    `grant_credits($1, 1000, 'anything')`,
    `grant_credits($1, 1000, $1, p_source => $1, p_operations => array[$1])`,
    `deduct_credits($1, 1, $1 || '.', $1, $1, $1, jsonb_build_object($1, $1))`,
    `hold_credits($1, 1, $1 || '-', '1 hour', $1, $1, $1)`,
    `set_limit($1, $1, 100, 'api_key', $1)`,
  ];
  for (const account of [...hostile, 'acme'])
    for (const call of calls) await db.query(`select credits.${call}`, [account]);
});

function callOf({ name, parameters }: PublicFunction, args: unknown[]) {
  const list = parameters.map((each, i) => `${each.name} => $${i + 1}`).join(', ');
  return client.query(`select * from credits.${name}(${list})`, args);
}

test.each(hostile)('%j is kept as it is, wherever a text or a document is taken', async (text) => {
  const functions = await publicFunctions(db);
  expect(functions.flatMap(({ parameters }) => parameters).filter(isFree).length).toBeGreaterThan(
    25,
  );
  const last = ['close_account', 'forget_account'];
  await client.query('begin');
  try {
    const sent = new Set<string>();
    for (const each of functions.filter(({ name }) => !last.includes(name))) {
      const account = each.name === 'open_account' ? `${text} new` : text;
      const mark = (name: string) => `${text} ${each.name} ${name}`;
      const args = each.parameters.map((p) => argumentOf(p, account, mark(p.name)));
      await callOf(each, args);
      if (/^(available_for|remove_limit)$/.test(each.name)) continue; // asks, and keeps nothing
      for (const p of each.parameters.filter(isFree)) sent.add(mark(p.name));
    }
    const found = await kept([text, `${text} new`]);
    for (const each of sent) expect(found).toContain(each);
    for (const name of last) await client.query(`select credits.${name}($1)`, [text]);
  } finally {
    await client.query('rollback');
  }
});

test.each(hostile)('%j is refused where a word of ours is meant', async (text) => {
  for (const each of await publicFunctions(db))
    for (const [i, p] of each.parameters.entries()) {
      if (!(p.name in choices) && p.name !== 'p_deductions') continue;
      const args = each.parameters.map((other) =>
        argumentOf(other, 'acme', `${text} ${each.name}`),
      );
      args[i] = p.type === 'jsonb' ? JSON.stringify({ [text]: text }) : text;
      const error = await raised(callOf(each, args));
      expect(error).toMatchObject({ code: '22023', detail: { argument: p.name } });
    }
});

test.each(hostile)('%j comes back from an error as it went in', async (text) => {
  const detail = async (statement: string, ...params: unknown[]) => {
    const error = await raised(client.query(`select credits.${statement}`, params));
    expect(error.message).toMatch(/^[a-z ]+$/);
    return error.detail;
  };
  const nobody = `${text} nobody`;
  expect(await detail('deduct_credits($1, 1, $1)', nobody)).toEqual({ account_id: nobody });
  expect(await detail(`deduct_credits($1, 2, $1 || '.')`, text)).toMatchObject({
    account_id: text,
    idempotency_key: `${text}.`,
  });
  expect(await detail('deduct_credits($1, 9999, $2, null, $1)', text, 'new')).toMatchObject({
    account_id: text,
    operation: text,
  });
  expect(await detail('deduct_credits($1, 100, $2, $1)', text, 'new')).toMatchObject({
    limit_id: text,
    scope_id: text,
  });
  const { rows } = await client.query(
    'select account_id, idempotency_key, error_detail from credits.deduct_credits_batch($1)',
    [JSON.stringify([{ account_id: text, idempotency_key: text, amount: 1, [`${text}!`]: text }])],
  );
  expect(rows).toEqual([
    {
      account_id: text,
      idempotency_key: text,
      error_detail: { account_id: text, argument: `${text}!` },
    },
  ]);
});

test('a text that is too long is refused, and not said again', async () => {
  const long = `'${'x'.repeat(1_000_000)}'`;
  for (const each of await publicFunctions(db))
    for (const [i, p] of each.parameters.entries()) {
      if (!isFree(p) && p.name !== 'p_account_id') continue;
      const args = each.parameters.map((other) => argumentOf(other, 'acme', each.name));
      args[i] = argumentOf(p, long, long);
      const error = await raised(callOf(each, args));
      expect(error).toMatchObject({ code: '22023', detail: { argument: expect.any(String) } });
      expect(JSON.stringify(error).length).toBeLessThan(1000);
    }
});

test('a text with a NUL is refused before it reaches our functions', async () => {
  const call = client.query('select credits.deduct_credits($1, 1, $1)', ['acme\0']);
  expect(await raised(call)).toMatchObject({ code: '22021' });
  const inside = client.query(`select credits.deduct_credits('acme', 1, 'nul', p_metadata => $1)`, [
    JSON.stringify({ a: '\0' }),
  ]);
  expect(await raised(inside)).toMatchObject({ code: '22P05' });
});

test.each(hostile)('%j breaks no line of an invoice, and turns none', async (text) => {
  const [invoice] = await readInvoices(client, text);
  expect(invoice).toMatchObject({
    account_id: text,
    lines: [{ operation: text, api_key_id: text, calls: 1n }],
  });
  const [plain] = await readInvoices(client, 'acme');
  if (!invoice || !plain) throw new Error('no invoice');
  const lines = describeInvoice(invoice);
  expect(lines).toHaveLength(describeInvoice(plain).length);
  for (const line of lines) expect(line).not.toMatch(/\p{Cc}|\p{Bidi_Control}|[\u2028\u2029]/u);
  const nobody = await readInvoices(client, `${text} nobody`).catch((error) => error.message);
  expect(nobody).toMatch(/^no account '[^\p{Cc}\p{Bidi_Control}]*' in database /u);
});

test('after every hostile text, every account is as it was, and every promise holds', async () => {
  const accounts = await db.query(`select account_id, balance, held from credits.remaining`);
  expect(accounts).toHaveLength(hostile.length + 1);
  for (const account of accounts) expect(account).toMatchObject({ balance: 1999, held: 1 });
  expect(await discrepancies(db)).toEqual([]);
});
