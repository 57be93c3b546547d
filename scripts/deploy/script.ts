import type { SqlFile } from '../package.ts';
import { plainly } from '../postgres/live.ts';
import type { Ground, Roles } from '../postgres/roles.ts';
import { recordMigrations } from './bookkeeping.ts';
import type { Planned, Step } from './steps.ts';
import { takeTurn } from './turns.ts';

/** How a deploy begins, whether it runs or is printed. */
export const beginning = `begin isolation level read committed, read write;
${plainly}; set local check_function_bodies = on;`;

interface Setting {
  pkg: { version: string };
  ground: Ground;
  lockTimeout: number;
}

/** The deploy as a script for psql: the same statements, in one transaction. */
export function scriptOf(
  { pkg, ground, lockTimeout }: Setting,
  roles: Roles,
  planned: Planned,
): string {
  const title = `pg-credits ${pkg.version} for database ${ground.database}, as ${ground.user}`;
  return `${[
    `-- ${title}, in its present state: run this with psql -v ON_ERROR_STOP=1, then pg-credits verify.`,
    beginning,
    takeTurn('deploy'),
    ...section('roles', roles.statements.join('\n')),
    ...planned.steps.flatMap((step) => textOf(step, lockTimeout)),
    'commit;',
  ].join('\n')}\n`;
}

const section = (title: string, sql: string) => (sql === '' ? [] : ['', `-- ${title}`, sql]);

function textOf(step: Step, lockTimeout: number): string[] {
  switch (step.kind) {
    case 'lock':
      return section(
        'callers wait from here on',
        `set local lock_timeout = '${lockTimeout}ms';\nlock table credits_private.accounts in ${step.mode} mode;`,
      );
    case 'triggers off':
      return section('migrations run without triggers', step.sql);
    case 'privileges':
      return section('nobody may do anything, until sql/roles.sql says who may', step.sql);
    case 'migrations':
      return step.files.flatMap((file) => [...textOfFile(file), recordMigrations([file])]);
    case 'file':
      return textOfFile(step.file);
    case 'statements':
      return section(step.title, step.sql);
  }
}

// A file may end with a comment, or lack its last semicolon.
const textOfFile = ({ path, text }: SqlFile) =>
  section(path, text.trimEnd().endsWith(';') ? text.trimEnd() : `${text.trimEnd()}\n;`);
