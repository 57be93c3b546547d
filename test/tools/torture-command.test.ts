import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';

const timeout = { timeout: 60_000, interval: 20 };

function torture(...args: string[]) {
  const temp = mkdtempSync(join(tmpdir(), 'pg credits test '));
  chmodSync(temp, 0o777); // the server's user may not be ours
  onTestFinished(() => rmSync(temp, { recursive: true, force: true }));
  const child = spawn(process.execPath, ['--import', 'tsx', 'tools/torture/main.ts', ...args], {
    env: { ...process.env, TMPDIR: temp },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text) => {
      said += text;
    });
  const closed = once(child, 'close');
  const ended = async () => ({ status: (await closed)[0], said });
  const folders = () => readdirSync(temp).filter((name) => name.startsWith('pg-credits-'));
  return { child, ended, folders };
}

test('torture stops its servers at Ctrl-C, says so, and leaves nothing', {
  timeout: 120_000,
}, async () => {
  const { child, ended, folders } = torture('--only', 'kill,cut', '--small', '--seed', '1');
  await vi.waitFor(() => expect(folders()).toHaveLength(1), timeout);
  child.kill('SIGINT');
  const { status, said } = await ended();
  expect(status).toBe(130);
  expect(said).toMatch(/^seed 1, .*\n\nkill: .*\n\ninterrupted: stopping the servers\n$/s);
  await vi.waitFor(() => expect(folders()).toEqual([]), timeout);
});

test.each([
  [['--only', 'earthquake'], /^no fault 'earthquake': kill, .*; see npm run torture -- --help\n$/],
  [['--seed', 'x'], /^--seed must be a whole number, not x; see/],
  [['--database-url', 'postgres://'], /^Unknown option '--database-url'; see/],
])('torture %j is wrong usage', async (args, line) => {
  const { status, said } = await torture(...args).ended();
  expect(status).toBe(2);
  expect(said).toMatch(line);
});
