import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { script } from '../support/scripts.ts';
import { makeIncident } from './legacy.ts';
import { folder } from './mappings.ts';

const db = useDatabase({ empty: true });

const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
const [, chapter = ''] = readme.split('## Adopt a ledger that has drifted\n');
const text = chapter.split('\n## ')[0] ?? '';
const blocks = (language: string) =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map((m) => m[1] ?? '');

/** The chapter's commands, in order, without their comments. */
const commands = blocks('sh').flatMap((block) =>
  block
    .trim()
    .split('\n')
    .map((line) => line.replace(/ +#.*/, '').replace('npx pg-credits ', '')),
);

test('the chapter of the README, command by command, on the account that it is about', async () => {
  await makeIncident(await db.connect());
  const cwd = folder();
  const env = { ...process.env, DATABASE_URL: db.url };
  const said = new Map<string, string>();
  for (const command of commands) {
    const args = command.replace('--window 600', '--window 2 --every 1').split(' ');
    if (args[0] === 'deploy') args.push('--role-prefix', db.rolePrefix);
    const run = promisify(execFile)(process.execPath, [script('cli.js'), ...args], { cwd, env });
    said.set(command, (await run).stdout);
    await meanwhile[command]?.();
  }
  expect(commands.length).toBe(12);
  expect(said.get('diagnose --html diagnosis.html')).toContain(blocks('text')[0]?.trim());
  expect(said.get('compare')).toMatch(/1 account: 1 agree/);
  expect(await db.query('select * from credits.discrepancies')).toEqual([]);
});

const balanceShown = async () =>
  (await db.one(`select balance from public.user_credits where user_id = 'acme'`)).balance;
const balanceHere = async () =>
  (await db.one(`select balance from credits.remaining where account_id = 'acme'`)).balance;

const spendTheOldWay = (id: number) =>
  db.query(
    `with spent as (
       update public.user_credits set balance = balance - 9 where user_id = 'acme' returning balance
     )
     insert into public.credit_transactions
     select $1::bigint, 'acme', -9, 'usage', '/execute', 'key_app', 'call ' || $1, null, balance,
       now()
     from spent`,
    [id],
  );

/** What the app does after a command, and what it must see. */
const meanwhile: Record<string, () => Promise<unknown>> = {
  'shadow install': () => spendTheOldWay(1001),
  'adopt --trust transactions': async () => {
    expect(await balanceHere()).toBe(130);
    await spendTheOldWay(1002);
    expect(await balanceHere()).toBe(121);
  },
  cutover: async () => {
    await db.query(`select balance from credits.deduct_credits('acme', 21, 'request 1')`);
    expect([await balanceShown(), await balanceHere()]).toEqual([100, 100]);
  },
  'cutover --rollback': async () => {
    expect(await balanceShown()).toBe(100);
    await spendTheOldWay(1003);
    expect([await balanceShown(), await balanceHere()]).toEqual([91, 91]);
  },
};
