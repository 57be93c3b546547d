import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { readParties } from '../../../scripts/adoption/app/parties.ts';
import { compare } from '../../../scripts/adoption/compare/compare.ts';
import { watchGate } from '../../../scripts/adoption/cutover/gate.ts';
import { parseMapping } from '../../../scripts/adoption/mapping/mapping.ts';
import * as compareCommand from '../../../scripts/commands/compare.ts';
import { runCommand } from '../../../scripts/shell/command.ts';
import { UsageError } from '../../../scripts/shell/explain.ts';
import { cli, within } from '../../deploy/fixture.ts';
import type { Database } from '../../support/database.ts';
import { adoptAll } from '../app.ts';
import { adopt, createApp, insert, install, mapping, mappingText, write } from '../shadow/app.ts';

let db: Database;
let file: string;
beforeAll(async () => {
  db = await createApp(4);
  await install(db);
  for (const user of ['u1', 'u2', 'u3', 'u4']) await adopt(db, user);
  file = join(mkdtempSync(join(inject('folder'), 'mapping ')), 'pg-credits.yaml');
  writeFileSync(file, mappingText);
});
afterAll(() => db.drop());

const argsOf = (...args: string[]) => [
  ...['compare', '--database-url', db.url, '--mapping', file],
  ...args,
];
const command = (...args: string[]) => within(argsOf(...args));

async function gate(window: number, between: (n: number) => Promise<unknown> = async () => {}) {
  const client = await db.connect();
  const parties = await readParties(client);
  let n = 0;
  const sample = async () => {
    await between(n);
    n += 1;
    return compare(client, mapping, parties);
  };
  const report = await watchGate(sample, { window, every: 0.01, progress: () => {} });
  await client.end();
  return report;
}

/** The gate while something is as it must not be, and after it. */
async function shutBy(plant: () => Promise<unknown>, mend: () => Promise<unknown>) {
  await plant();
  const { open, objections, samples } = await gate(30);
  expect({ open, samples }).toEqual({ open: false, samples: 1 });
  await mend();
  expect((await gate(0)).open).toBe(true);
  return objections;
}

test('the gate opens when every account agrees for as long as it watches, mirrored writes included', async () => {
  const report = await gate(0.001, () => write(db, 'u1', -1));
  expect(report).toMatchObject({ open: true, samples: 2, accounts: 4n, mirrored: 1n });
});

test('the gate shuts at once when an account differs by one credit', async () => {
  const lines = await shutBy(
    () => db.query(`select from credits.deduct_credits('u2', 1, 'elsewhere')`),
    () => db.query(`select from credits.grant_credits('u2', 1, 'back')`),
  );
  expect(lines).toEqual(['account u2: the transactions say 970, the ledger 969: it differs by -1']);
});

test('the gate shuts in the middle of its window, too', async () => {
  const report = await gate(30, async (n) => {
    if (n === 2) await db.query(`select from credits.deduct_credits('u2', 1, 'in the middle')`);
  });
  expect(report).toMatchObject({ open: false, samples: 3 });
  await db.query(`select from credits.grant_credits('u2', 1, 'back again')`);
});

test('the gate is shut by a write that could not be mirrored', async () => {
  const add =
    'alter table credits_private.entries add constraint planted check (amount <> -7) not valid';
  const drop = 'alter table credits_private.entries drop constraint planted';
  const lines = await shutBy(
    async () => {
      await db.query(add);
      await insert(db, 'u2', -7);
      await db.query(drop);
    },
    async () => {
      const retry = ['shadow', 'retry', '--database-url', db.url, '--mapping', file];
      expect(await within(retry)).toMatchObject({
        code: 0,
        stdout: '1 write booked, 0 that adopt has read or will, 0 left\n',
      });
    },
  );
  expect(lines).toEqual([
    'account u2: the transactions say 963, the ledger 970: it differs by 7',
    expect.stringMatching(
      /^1 write could not be mirrored \(.*"planted"\): run pg-credits shadow retry$/,
    ),
  ]);
});

test('the gate is shut by an account that is not adopted', async () => {
  const lines = await shutBy(
    () => db.query(`insert into public.user_credits values ('new')`),
    () => adopt(db, 'new'),
  );
  expect(lines).toEqual([
    '1 account is not adopted (new): run pg-credits adopt again, which takes seconds',
  ]);
});

test('the gate is shut while the shadow is off, disabled or made from another mapping', async () => {
  const table = 'public.credit_transactions';
  const trigger = '_900_pg_credits_shadow';
  const disabled = await shutBy(
    () => db.query(`alter table ${table} disable trigger ${trigger}`),
    () => install(db),
  );
  expect(disabled).toEqual([
    `the shadow is off: its trigger on ${table} is disabled: run pg-credits shadow install`,
  ]);
  const other = parseMapping(mappingText.replace('  kind: kind\n', ''));
  expect(
    await shutBy(
      () => install(db, other),
      () => install(db),
    ),
  ).toEqual([
    'the shadow is off: it was installed with another mapping: run pg-credits shadow install',
  ]);
  const dropped = await shutBy(
    () =>
      db.query(`drop trigger ${trigger} on ${table}; drop trigger ${trigger}_truncate on ${table}`),
    () => install(db),
  );
  expect(dropped).toEqual(['the shadow is off: it is not installed']);
});

test('compare refuses to run where row security hides rows from its user', async () => {
  const owner = `${db.rolePrefix}hidden_from`;
  await db.query(`
    create role ${owner} login password 'p'; grant ${db.rolePrefix}credits_owner to ${owner};
    create table public.plain as select * from public.credit_transactions;
    alter table public.plain owner to ${owner};
    create policy own on public.plain using (user_id = 'u1');
    alter table public.plain enable row level security, force row level security`);
  const client = await db.connect();
  await client.query(`set session authorization ${owner}`);
  const { transactions } = mapping;
  const hidden = { transactions: { ...transactions, table: 'public.plain' }, counters: [] };
  await expect(compare(client, hidden, await readParties(client))).rejects.toThrow(
    /row-level security policy for table "plain"/,
  );
  await client.end();
  await db.query('drop table public.plain');
});

test('compare ends with status 0 or 1, and says so when nothing was written meanwhile', async () => {
  const open = await command('--gate', '--window', '0');
  expect(open).toMatchObject({ code: 0, stderr: '' });
  expect(open.stdout).toBe(
    'the gate is open: 5 accounts agreed in 1 sample over 0 s\n' +
      'no legacy write was mirrored meanwhile, which proves little: watch while the app is used\n',
  );
  await db.query(`update public.credit_transactions set amount = 999 where user_id = 'u3' and amount = 1000;
    alter table public.credit_transactions disable trigger user;
    update public.credit_transactions set amount = 990 where user_id = 'u3' and amount = 999;
    alter table public.credit_transactions enable trigger user`);
  const shut = await command('--gate', '--json');
  expect(shut.code).toBe(1);
  expect(JSON.parse(shut.stdout)).toMatchObject({
    open: false,
    objections: ['account u3: the transactions say 960, the ledger 969: it differs by 9'],
  });
  const { code, stdout } = await command();
  expect(code).toBe(0);
  expect(stdout).toMatch(/^the shadow of public.credit_transactions is on, since 20.* UTC\n/);
  expect(stdout).toContain('\n5 accounts: 4 agree, 1 differs by 9 in all\n');
  expect(stdout.split('\n').slice(-4)).toEqual([
    'account  balance  transactions  trusted       ours  difference  failures',
    '-'.repeat(72),
    'u3           970           960  transactions   969           9         -',
    '',
  ]);
  await db.query(`select from credits.deduct_credits('u3', 9, 'mended')`);
});

test('the gate compares balances where the balance is trusted', async () => {
  await db.query(`insert into public.user_credits values ('odd', 40);
    insert into public.credit_transactions (user_id, amount) values ('odd', 55)`);
  await adopt(db, 'odd', 'balance');
  expect((await gate(0)).open).toBe(true);
  await db.query(`update public.user_credits set balance = 41 where user_id = 'odd'`);
  expect((await gate(0)).objections).toEqual([
    'account odd: the balance says 41, the ledger 40: it differs by -1',
  ]);
  await db.query(`update public.user_credits set balance = 40 where user_id = 'odd'`);
});

test('after a truncate every account differs, and the mapping is not blamed', async () => {
  const app = await createApp(2);
  const here = ['--database-url', app.url, '--mapping', file];
  await app.query('create table public.kept as select * from public.credit_transactions');
  await install(app);
  await app.query('truncate public.credit_transactions');
  const none = await within(['compare', ...here]);
  expect(none).toMatchObject({ code: 1, stdout: '' });
  expect(none.stderr).toBe('mapping: transactions: public.credit_transactions has no rows\n');
  await app.query(
    'insert into public.credit_transactions overriding system value table public.kept',
  );
  for (const user of ['u1', 'u2']) await adopt(app, user);
  await app.query('truncate public.credit_transactions');
  const { code, stdout, stderr } = await within(['compare', ...here]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('\n2 accounts: 0 agree, 2 differ by 1,940 in all\n');
  const gated = await within(['compare', ...here, '--gate']);
  expect(gated).toMatchObject({ code: 1, stderr: '' });
  expect(gated.stdout).toContain('the gate is shut');
  const again = await within(['diagnose', ...here]);
  expect(again.stderr).toBe('mapping: transactions: public.credit_transactions has no rows\n');
  await app.drop();
});

test('the difference of an account that has left the app, trusted for its balance, stays in the ledger', async () => {
  await db.query(`insert into public.user_credits values ('left', 40);
    insert into public.credit_transactions (user_id, amount) values ('left', 35)`);
  await adoptAll(db, { book: 'opening', trust: 'balance' }, { mapping });
  await db.query(`delete from public.credit_transactions where user_id = 'left';
    delete from public.user_credits where user_id = 'left'`);
  expect(await gate(0)).toMatchObject({ open: true, objections: [] });
  await db.query(`select from credits.deduct_credits('left', 1, 'elsewhere')`);
  expect((await gate(0)).objections).toEqual([
    'account left: its balance is gone, the transactions and the difference that was adopted say 5, the ledger 4: it differs by -1',
  ]);
  await db.query(`select from credits.grant_credits('left', 1, 'back')`);
});

test('compare --watch goes on until it is stopped', async () => {
  const running = cli(argsOf('--watch', '--every', '1', '--json'));
  const samples: string[] = [];
  await new Promise<void>((resolve) => {
    running.child.stdout?.on('data', (data) => {
      samples.push(...String(data).trim().split('\n'));
      if (samples.length >= 2) resolve();
    });
  });
  running.child.kill('SIGINT');
  await running;
  for (const sample of samples) expect(JSON.parse(sample)).toMatchObject({ differ: 0 });
});

test('compare lists accounts in the order of bytes, whatever their characters', async () => {
  const ids = ['Z', 'z', 'ä', '\uffee', '\u{1f600}', 'a b', 'A'];
  for (const id of ids) {
    await db.query('insert into public.user_credits values ($1)', [id]);
    await insert(db, id, 5);
    await adopt(db, id);
  }
  const report = await gate(0);
  expect(report).toMatchObject({ open: true, objections: [] });
});

test.each([
  [['--gate', '--watch'], '--gate or --watch, not both'],
  [['--window', '5'], '--window is for --gate'],
  [['--every', '5'], '--every is for --gate and --watch'],
  [['--gate', '--every', '0'], '--every must be at least 1, not 0'],
])('compare %j is wrong usage', async (args, line) => {
  await expect(runCommand(compareCommand, args)).rejects.toThrow(new UsageError(line));
});
