import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../scripts/package.ts';

/** What of a file's text belongs to scripts/shell/ alone: the console, exit statuses, signals. */
const speaks = (text: string): string[] =>
  text.match(/\bconsole\b\S*|\bprocess\.(std\w+|exit\w*|on|once|off|kill|emit\w*)\b/g) ?? [];

test('only scripts/shell/ prints, sets an exit status or handles a signal', () => {
  const files = readdirSync(join(packageRoot, 'scripts'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => ({
      path,
      found: speaks(readFileSync(join(packageRoot, 'scripts', path), 'utf8')),
    }));
  const speakers = files.filter(({ found }) => found.length > 0).map(({ path }) => path);
  expect(speakers).toContain('shell/terminal.ts');
  expect(speakers.filter((path) => !path.startsWith('shell/'))).toEqual([]);
});

test.each([
  "console.log('done')",
  'const { log } = console;',
  "process.stdout.write('done')",
  'if (process.stderr.isTTY) return;',
  'process.exit(1)',
  'process.exitCode = 1',
  "process.once('SIGINT', stop)",
])('a script that does so is found: %s', (text) => {
  expect(speaks(text)).toHaveLength(1);
});
