import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inject, vi } from 'vitest';
import { commandLine } from '../../scripts/main.ts';
import { script } from '../support/scripts.ts';

export type Files = Record<string, string>;

/**
 * A small package: one table, one function that callers call, two views, and what the roles may do.
 */
export const small: Files = {
  'migrations/0001_accounts.sql': `create table credits_private.accounts (
  account_id text primary key,
  balance bigint not null default 0
);
insert into credits_private.accounts values ('acme');
`,
  'migrations/0002_notes.sql': 'create table credits_private.notes (note text primary key);\n',
  'sql/private/next_balance.sql': `create or replace function credits_private.next_balance(p bigint)
returns bigint language sql immutable set search_path = pg_temp as $$ select p + 1 $$;
`,
  'sql/functions/bump.sql': `create or replace function credits.bump(p_account_id text)
returns bigint language plpgsql security definer set search_path = pg_temp as $$
declare
  v_balance bigint;
begin
  update credits_private.accounts set balance = credits_private.next_balance(balance)
  where account_id = p_account_id returning balance into v_balance;
  return v_balance;
end;
$$;
revoke all on function credits.bump(text) from public;
`,
  'sql/views/balances.sql':
    'create or replace view credits.balances as select account_id, balance from credits_private.accounts;\n',
  'sql/views/account_names.sql': `-- requires: views/balances.sql
create or replace view credits.account_names as select account_id from credits.balances;
`,
  'sql/roles.sql': `grant usage on schema credits to credits_spender, credits_granter, credits_auditor;
grant execute on function credits.bump(text) to credits_spender;
grant select on credits.balances to credits_auditor;
`,
};

/** A folder with these files, for `root`. An empty text leaves a file out. */
export function packageWith(changes: Files = {}): string {
  const root = mkdtempSync(join(inject('folder'), 'deploy '));
  for (const [path, text] of Object.entries({ ...small, ...changes })) {
    if (text === '') continue;
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

export type Running = Promise<Outcome> & { child: ChildProcess };

/** The real command, as a process of its own; no PG variable of ours reaches it. */
export function cli(args: string[], env: Record<string, string> = {}): Running {
  const clean = Object.entries(process.env).filter(([name]) => !/^PG|^DATABASE_URL$/.test(name));
  const child = spawn(process.execPath, [script('cli.js'), ...args], {
    env: { ...Object.fromEntries(clean), ...env },
  });
  const outcome: Outcome = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (data) => {
    outcome.stdout += data;
  });
  child.stderr.on('data', (data) => {
    outcome.stderr += data;
  });
  const ended = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...outcome, code }));
  });
  return Object.assign(ended, { child });
}

/**
 * The same within this process, in a tenth of the time: for tests that need no process of their
 * own, one at a time. Its outcome is what reaches the console, and no PG variable of ours is set.
 */
export async function within(args: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const outcome: Outcome = { code: null, stdout: '', stderr: '' };
  const spies = [
    vi.spyOn(console, 'log').mockImplementation((line) => {
      outcome.stdout += `${line}\n`;
    }),
    vi.spyOn(console, 'error').mockImplementation((line) => {
      outcome.stderr += `${line}\n`;
    }),
    vi.spyOn(process.stdout, 'write').mockImplementation((piece, encoding, done) => {
      outcome.stdout += piece;
      (typeof encoding === 'function' ? encoding : done)?.();
      return true;
    }),
  ];
  const before = { ...process.env };
  for (const name of Object.keys(before))
    if (/^PG|^DATABASE_URL$/.test(name)) delete process.env[name];
  Object.assign(process.env, env);
  try {
    outcome.code = await commandLine(args);
  } finally {
    for (const spy of spies) spy.mockRestore();
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  }
  return outcome;
}
