import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { deploy } from '../../scripts/deploy/deploy.ts';
import { packageRoot } from '../../scripts/package.ts';
import type { Finding } from '../../scripts/verify/checks.ts';
import { examine, verify } from '../../scripts/verify/examine.ts';
import { asRole, createDatabase, type Database } from '../support/database.ts';
import { within } from './fixture.ts';

// With roles of its own: verify tells who may act as the owner, and other tests give that to users.
const rolePrefix = `${inject('rolePrefix')}verified_`;
let template: Database;
beforeAll(async () => {
  template = await createDatabase({ empty: true });
  await deploy({ connectionString: template.url }, { rolePrefix });
});
afterAll(() => template.drop());

async function withDatabase(use: (db: Database) => Promise<void>, options = {}) {
  const db = await createDatabase({ template: template.name, rolePrefix, ...options });
  try {
    await use(db);
  } finally {
    await db.drop();
  }
}

const urlOf = (db: Database, user: string) => {
  const url = new URL(db.url);
  url.username = user;
  url.password = 'p';
  return url.href;
};

const spend = `
  select from credits.grant_credits('acme', 100, 'g');
  select from credits.deduct_credits('acme', 30, 'd', 'key', 'search')`;

test('verify of a fresh deploy finds nothing: one line, status 0, and --json says the same', () =>
  withDatabase(async (db) => {
    await db.query(spend);
    const outcome = await within(['verify', '--database-url', db.url]);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(
      /^all promises hold: 1 account, 2 entries, schema as pg-credits \S+\n$/,
    );
    const json = await within(['verify', '--json', '--database-url', db.url]);
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: true,
      accounts: 1,
      entries: 2,
      findings: [],
      notes: [],
    });
  }));

const broken = (check: string, subject: unknown, expected: unknown, actual: unknown): Finding =>
  expect.objectContaining({ check, subject, expected, actual });
const reapply = expect.stringMatching(/^differs from it: run pg-credits deploy$/);
const ours = expect.stringMatching(/^as in pg-credits /);

const accounts = 'credits_private.accounts';
const trigger = `${accounts} _100_counters_change_only_with_the_ledger`;
const definition = (table: string) => expect.stringMatching(`^enabled, CREATE TRIGGER .*${table}?`);

const schemaDamage: [string, string, Finding][] = [
  [
    'a dropped trigger',
    `drop trigger _100_counters_change_only_with_the_ledger on ${accounts}`,
    broken('schema', `trigger ${trigger}`, definition(''), 'missing: run pg-credits deploy'),
  ],
  [
    'a disabled trigger',
    `alter table ${accounts} disable trigger _100_counters_change_only_with_the_ledger`,
    broken('every_trigger_is_enabled', `trigger ${trigger}`, 'enabled', 'disabled'),
  ],
  [
    'a changed function body',
    `create or replace function credits_private.microseconds(p_at timestamptz) returns bigint
     language sql immutable set search_path = pg_temp as 'select 1::bigint'`,
    broken(
      'schema',
      'function credits_private.microseconds(timestamp with time zone)',
      ours,
      reapply,
    ),
  ],
  [
    'a function without search_path',
    'alter function credits.settle_due(int) reset search_path',
    broken(
      'every_function_sets_search_path',
      'function credits.settle_due(integer)',
      'set search_path = pg_temp',
      'not set',
    ),
  ],
  [
    'a function that takes temporary types before all others',
    `alter function credits.settle_due(int) set search_path = ''`,
    broken(
      'every_function_sets_search_path',
      'function credits.settle_due(integer)',
      'set search_path = pg_temp',
      'set search_path=""',
    ),
  ],
  [
    'a function that PUBLIC may call',
    'grant execute on function credits.settle_due(int) to public',
    broken(
      'only_granted_roles_can_call',
      'privilege PUBLIC on function credits.settle_due(integer)',
      'nothing for PUBLIC',
      'EXECUTE',
    ),
  ],
  [
    'a function of somebody’s own, which PUBLIC may not call',
    `create function credits.gift() returns int language sql set search_path = pg_temp as 'select 1';
     revoke all on function credits.gift() from public;
     alter function credits.gift() owner to OWNER`,
    broken('schema', 'function credits.gift()', expect.stringMatching(/^not in pg-/), ANY()),
  ],
  [
    'a column too many',
    `alter table ${accounts} add column note text`,
    broken('schema', `column ${accounts}.note`, expect.stringMatching(/^not in pg-/), 'text'),
  ],
  [
    'a column that may be null',
    `alter table ${accounts} alter column unit drop not null`,
    broken('schema', `column ${accounts}.unit`, 'text not null', 'text'),
  ],
  [
    'a constraint of less',
    `alter table ${accounts} drop constraint available_is_never_negative`,
    broken(
      'schema',
      `constraint ${accounts} available_is_never_negative`,
      'CHECK (((balance + debt) >= (held - overdraft_held)))',
      'missing',
    ),
  ],
  [
    'a view that says something else',
    `create or replace view credits.usage as select account_id, period, api_key_id, operation,
       credits_used, credits_refunded, credits_used as net_used, calls from credits_private.usage_counters`,
    broken('schema', 'view credits.usage', ours, reapply),
  ],
  [
    'a privilege that is gone',
    'revoke select on credits.usage from AUDITOR',
    broken(
      'schema',
      'privilege credits_auditor on view credits.usage',
      'SELECT',
      'missing: run pg-credits deploy',
    ),
  ],
  [
    'another owner',
    'alter view credits.usage owner to current_user',
    broken('schema', 'owner of view credits.usage', expect.stringMatching(/^not in pg-/), ANY()),
  ],
];

function ANY() {
  return expect.stringMatching(/./);
}

test.each(schemaDamage)('verify: %s is one finding', (_, statements, expected) =>
  withDatabase(async (db) => {
    await db.query(
      statements
        .replace('OWNER', `${db.rolePrefix}credits_owner`)
        .replace('AUDITOR', `${db.rolePrefix}credits_auditor`),
    );
    expect(await verify(await db.connect())).toEqual([expected]);
  }),
);

test('verify finds a disabled trigger of a foreign key', () =>
  withDatabase(async (db) => {
    await db.query(`alter table ${accounts} disable trigger all`);
    const findings = await verify(await db.connect());
    const subjects = findings
      .filter(({ check }) => check === 'every_trigger_is_enabled')
      .map(({ subject }) => subject);
    expect(subjects).toContain(`trigger ${accounts} of constraint a_grant_belongs_to_an_account`);
  }));

test('verify finds nothing after deploy --reapply has put things right', () =>
  withDatabase(async (db) => {
    await db.query(`alter table ${accounts} disable trigger user`);
    await db.query('drop function credits.settle_account(text)');
    const client = await db.connect();
    expect(await verify(client)).not.toEqual([]);
    await deploy({ connectionString: db.url }, { rolePrefix: db.rolePrefix, reapply: true });
    expect(await verify(client)).toEqual([]);
  }));

test('verify finds a balance that was changed behind the triggers: a table, status 1, and all of it in --json', () =>
  withDatabase(async (db) => {
    await db.query(spend);
    await db.query(`alter table ${accounts} disable trigger user;
      update ${accounts} set balance = 71; alter table ${accounts} enable trigger user`);
    const outcome = await within(['verify', '--database-url', db.url]);
    expect(outcome).toMatchObject({ code: 1, stderr: '' });
    const [heading, , ...rows] = outcome.stdout.trimEnd().split('\n');
    expect(heading).toMatch(/^check +account +subject +expected +actual$/);
    expect(rows.some((row) => /^balance_equals_ledger +acme +balance +70 +71$/.test(row))).toBe(
      true,
    );
    expect(rows.at(-1)).toMatch(/^\d+ findings in database \S+: not all promises hold$/);
    const json = await within(['verify', '--json', '--database-url', db.url]);
    expect(json).toMatchObject({ code: 1, stderr: '' });
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      findings: expect.arrayContaining([
        {
          check: 'balance_equals_ledger',
          account_id: 'acme',
          subject: 'balance',
          expected: '70',
          actual: '71',
        },
      ]),
    });
  }));

test('verify names, counts and times each promise, the same for the owner and for an auditor', () =>
  withDatabase(async (db) => {
    await db.query(`${spend}; alter table ${accounts} disable trigger user;
      update ${accounts} set balance = 71; alter table ${accounts} enable trigger user`);
    const promises = readdirSync(join(packageRoot, 'sql/checks'))
      .map((name) => name.replace('.sql', ''))
      .filter((name) => name !== 'only_granted_roles_can_call');
    const examineAs = async (client: pg.Client) => {
      const heard: string[] = [];
      const report = await examine(client, { progress: (line) => heard.push(line) });
      expect(report.checks.map(({ name }) => name)).toEqual(promises.sort());
      expect(heard[0]).toBe(`checking ${promises[0]}, 1 of ${promises.length}`);
      expect(heard).toHaveLength(promises.length);
      for (const { name, rows, milliseconds } of report.checks) {
        expect(rows).toBe(report.findings.filter(({ check }) => check === name).length);
        expect(milliseconds).toBeGreaterThanOrEqual(0);
      }
      return report.findings;
    };
    const findings = await examineAs(await db.connect());
    expect(findings.length).toBeGreaterThan(1);
    expect(await examineAs(await asRole(db, 'credits_auditor'))).toEqual(findings);
  }));

test('verify shows the first 50 findings, and how many more there are', () =>
  withDatabase(async (db) => {
    await db.query(`select from generate_series(1, 60) as i,
      lateral credits.open_account('account ' || i)`);
    await db.query(`alter table ${accounts} disable trigger user;
      update ${accounts} set balance = 1; alter table ${accounts} enable trigger user`);
    const { stdout } = await within(['verify', '--database-url', db.url]);
    expect(stdout).toMatch(/\n… and \d+ more: --json prints all\n\d+ findings in database /);
    expect(stdout.trimEnd().split('\n')).toHaveLength(54);
  }));

test('verify raises no false alarm while callers are at work', () =>
  withDatabase(async (db) => {
    await db.query(`select from credits.grant_credits('acme', 1000000, 'g')`);
    let busy = true;
    const call = async (caller: number) => {
      const client = await db.connect();
      for (let i = 0; busy; i += 1)
        await client.query(`select from credits.deduct_credits('acme', 1, $1)`, [`${caller} ${i}`]);
    };
    const callers = [1, 2, 3, 4].map(call);
    const client = await db.connect();
    const reports = [];
    for (let i = 0; i < 10; i += 1) reports.push(await examine(client));
    busy = false;
    await Promise.all(callers);
    expect(reports.map(({ findings }) => findings)).toEqual(Array(10).fill([]));
    expect(reports.at(-1)?.entries).toBeGreaterThan(reports[0]?.entries ?? 0n);
  }));

test('a member of credits_auditor may run verify; whoever may read nothing is told so, with status 3', () =>
  withDatabase(async (db) => {
    const [member, stranger] = [`${db.rolePrefix}v_member`, `${db.rolePrefix}v_stranger`];
    await db.query(`create role ${member} login password 'p' in role ${db.rolePrefix}credits_auditor;
      create role ${stranger} login password 'p'`);
    await db.query(spend);
    const outcome = await within(['verify', '--database-url', urlOf(db, member)]);
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
    expect(outcome.stdout).toMatch(/^all promises hold: 1 account, 2 entries/);
    const refused = await within(['verify', '--database-url', urlOf(db, stranger)]);
    expect(refused).toMatchObject({ code: 3, stderr: '' });
    expect(refused.stdout).toMatch(
      /^not checked: credits\.discrepancies: .*not readable by .*v_stranger: connect as a .*\nnothing was found in /m,
    );
  }));

test('verify leaves out with a note what roles may do that deploy could not make', () =>
  withDatabase(
    async (db) => {
      const prefix = `${db.rolePrefix}v_`;
      const name = `${prefix}deployer`;
      await db.query(`create role ${name} login password 'p'`);
      await db.query(`grant create on database ${db.name} to ${name}`);
      const url = urlOf(db, name);
      await deploy({ connectionString: url }, { rolePrefix: prefix });
      const outcome = await within(['verify', '--role-prefix', prefix, '--database-url', url]);
      expect(outcome.stdout).toMatch(
        /^note: not checked, because these roles do not exist: .*credits_spender, .*\nall promises hold/,
      );
      expect(outcome).toMatchObject({ code: 0, stderr: '' });
    },
    { empty: true },
  ));

test('verify of a database without pg-credits: one line, status 1; wrong usage: status 2', () =>
  withDatabase(
    async (db) => {
      const outcome = await within(['verify', '--database-url', db.url]);
      expect(outcome).toEqual({
        code: 1,
        stdout: '',
        stderr: `no pg-credits in database ${db.name}: run pg-credits deploy first\n`,
      });
      expect(await within(['verify', '--frobnicate'])).toMatchObject({ code: 2, stdout: '' });
      expect(await within(['verify', '--role-prefix', 'No!'])).toMatchObject({
        code: 2,
        stdout: '',
      });
    },
    { empty: true },
  ));

test('verify refuses another role prefix than the database’s', () =>
  withDatabase(async (db) => {
    const client = await db.connect();
    await expect(verify(client, { rolePrefix: 'other_' })).rejects.toThrow(
      `this database belongs to ${rolePrefix}credits_owner: leave --role-prefix out`,
    );
  }));
