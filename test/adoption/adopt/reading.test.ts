import type pg from 'pg';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { plan } from '../../../scripts/adoption/adopt/run.ts';
import { parseMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import { useDatabase } from '../../support/database.ts';
import { adoptAll } from '../app.ts';

const db = useDatabase();
let client: pg.Client;
beforeAll(async () => {
  client = await db.connect();
});
afterEach(() => db.query('drop schema app cascade'));

interface App {
  /** The type of users.id, and of the transactions' column for it. */
  types: [string, string];
  ids: string[];
  /** Of the transactions; the column, unless it says otherwise. */
  accountId?: string;
  index?: string;
  indexed: boolean;
}

const uuids = ['1f0c6cd8-0f5f-4a38-9d86-6d1bb7c2bb01', '00000000-0000-0000-0000-000000000002'];

test.each<[string, App]>([
  ['a bigint', { types: ['bigint', 'bigint'], ids: ['11', '-12'], indexed: true }],
  ['an int and a smallint', { types: ['int', 'smallint'], ids: ['21', '-22'], indexed: true }],
  [
    'a bigint beyond an int',
    { types: ['bigint', 'int'], ids: ['31', '3000000000'], indexed: true },
  ],
  ['a uuid', { types: ['uuid', 'uuid'], ids: uuids, indexed: true }],
  ['a text', { types: ['text', 'text'], ids: ["o'neil", 'ünïcode "x"\\'], indexed: true }],
  ['a varchar', { types: ['varchar(40)', 'text'], ids: ['a', 'A'], indexed: true }],
  ['a text beside a bigint', { types: ['text', 'bigint'], ids: ['41', 'nobody'], indexed: false }],
  [
    'that, with an index on what is compared',
    { types: ['text', 'bigint'], ids: ['51', 'x'], index: '(((who)::text))', indexed: true },
  ],
  [
    'an expression',
    { types: ['text', 'bigint'], ids: ['u1', 'u2'], accountId: `'u' || who`, indexed: false },
  ],
  [
    'without an index',
    {
      types: ['uuid', 'uuid'],
      ids: uuids.map((id) => id.replace('0', 'f')),
      index: '(amount)',
      indexed: false,
    },
  ],
])('ids that are %s', async (_, { types, ids, accountId = 'who', index = '(who)', indexed }) => {
  const value = accountId === 'who' ? `$1::${types[1]}` : `substr($1, 2)::${types[1]}`;
  await db.query('create schema app');
  await db.query(`create table app.users (id ${types[0]})`);
  await db.query(`create table app.moves (id int, who ${types[1]}, amount int, at timestamptz)`);
  await db.query(`create index on app.moves ${index}`);
  for (const id of ids) await db.query(`insert into app.users values ($1::${types[0]})`, [id]);
  await db.query(
    `insert into app.moves values (1, ${value}, 40, now()), (2, ${value}, -15, now())`,
    [ids[0]],
  );
  const mapping = parseMapping(
    JSON.stringify({
      accounts: { table: `app.users`, account_id: 'id' },
      transactions: {
        table: `app.moves`,
        account_id: accountId,
        transaction_id: 'id',
        amount: 'amount',
        created_at: 'at',
      },
    }),
  );
  expect(await plan(client, mapping)).toMatchObject({ indexed, accounts: 2n });
  await adoptAll(db, { book: 'history', trust: 'transactions' }, { mapping, client, batch: 1 });
  const rows = await db.query(
    `select account_id as id, balance from credits.remaining where account_id = any ($1)`,
    [ids],
  );
  expect(new Map(rows.map(({ id, balance }) => [id, balance]))).toEqual(
    new Map([
      [ids[0], 25],
      [ids[1], 0],
    ]),
  );
});
