import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test, vi } from 'vitest';
import { connect } from '../../scripts/postgres/connect.ts';
import { makeAuthority, makeCertificate, makeRevocations } from '../support/certificates.ts';
import { TlsServer } from '../support/tls-server.ts';
import { cli } from './fixture.ts';

const authority = makeAuthority('the right one');
const stranger = makeAuthority('another one');
const clients = makeAuthority('of clients');
const local = makeCertificate({ name: 'localhost', names: ['localhost'] }, authority);
const trust = 'host all app 127.0.0.1/32 trust';

let server: TlsServer;
let folder: string;
const files: Record<string, string> = {};
/** A file for the client's side, as only its user may read it. */
function keep(name: string, text: string) {
  files[name] = join(folder, name);
  writeFileSync(files[name], text, { mode: 0o600 });
}

beforeAll(async () => {
  folder = mkdtempSync(join(inject('folder'), 'tls '));
  keep('right.crt', authority.certificate);
  keep('wrong.crt', stranger.certificate);
  server = await TlsServer.start(inject('major'), local, clients);
  await server.query(`create role app login password 'p'`);
  await server.query('create database app');
  await server.admit(trust);
});
afterAll(() => server.stop());

// What the machine's own user has set up is not ours.
beforeEach(() => {
  for (const name of Object.keys(process.env)) if (/^PG/.test(name)) vi.stubEnv(name, undefined);
  vi.stubEnv('HOME', folder);
});
afterEach(() => vi.unstubAllEnvs());

type Outcome = 'encrypted' | 'plain' | 'refused';
const question =
  'select case when ssl then 1 else 0 end as ssl from pg_stat_ssl where pid = pg_backend_pid()';

async function ours(connectionString?: string): Promise<Outcome> {
  const client = await connect(connectionString === undefined ? {} : { connectionString }).catch(
    () => undefined,
  );
  if (!client) return 'refused';
  const { rows } = await client.query(question);
  await client.end();
  return rows[0].ssl === 1 ? 'encrypted' : 'plain';
}

const why = (connectionString: string): Promise<string> =>
  connect({ connectionString }).then(
    async (client) => {
      await client.end();
      return 'connected';
    },
    (error) => error.message,
  );

const hasPsql = spawnSync('psql', ['--version']).status === 0;

/** What libpq makes of it, where there is a psql. */
function theirs(connection: string): Outcome | undefined {
  if (!hasPsql) return undefined;
  const { status, stdout } = spawnSync('psql', ['-XAtc', question, '-d', connection], {
    encoding: 'utf8',
  });
  if (status !== 0) return 'refused';
  return stdout.trim() === '1' ? 'encrypted' : 'plain';
}

function url(settings: Record<string, string>, host = 'localhost', user = 'app'): string {
  const query = Object.entries(settings).map(([k, v]) => `${k}=${encodeURIComponent(v)}`);
  return `postgresql://${user}@${host}:${server.port}/app?${query.join('&')}`;
}

/** Both, and that they are the same. */
async function outcome(connection: string): Promise<Outcome> {
  const [we, they] = [await ours(connection), theirs(connection)];
  if (they !== undefined) expect([connection, we]).toEqual([connection, they]);
  return we;
}

const rows = [
  // sslmode       no TLS     no root      right root   wrong name   wrong root
  ['disable', 'plain', 'plain', 'plain', 'plain', 'plain'],
  ['allow', 'plain', 'plain', 'plain', 'plain', 'plain'],
  ['prefer', 'plain', 'encrypted', 'encrypted', 'encrypted', 'plain'],
  ['require', 'refused', 'encrypted', 'encrypted', 'encrypted', 'refused'],
  ['verify-ca', 'refused', 'refused', 'encrypted', 'encrypted', 'refused'],
  ['verify-full', 'refused', 'refused', 'encrypted', 'refused', 'refused'],
] as const;

test.each(rows)(
  'sslmode=%s does what psql does, with each certificate and name, and without TLS',
  async (sslmode, none, ...expected) => {
    const wrongName = '127.0.0.1';
    const [right, wrong] = [files['right.crt'] ?? '', files['wrong.crt'] ?? ''];
    const outcomes = [
      await outcome(url({ sslmode })),
      await outcome(url({ sslmode, sslrootcert: right })),
      await outcome(url({ sslmode, sslrootcert: right }, wrongName)),
      await outcome(url({ sslmode, sslrootcert: wrong })),
    ];
    expect(outcomes).toEqual(expected);
    await server.encrypt(false);
    try {
      expect(await outcome(url({ sslmode, sslrootcert: right }))).toBe(none);
    } finally {
      await server.encrypt(true);
    }
  },
);

test.each([
  ['hostssl', ['refused', 'encrypted', 'encrypted', 'encrypted']],
  ['hostnossl', ['plain', 'plain', 'plain', 'refused']],
] as const)(
  'where the server has %s alone, allow and prefer find the other way',
  async (line, expected) => {
    await server.admit(`${line} all app 127.0.0.1/32 trust`);
    try {
      const found: Outcome[] = [];
      for (const sslmode of ['disable', 'allow', 'prefer', 'require'])
        found.push(await outcome(url({ sslmode })));
      expect(found).toEqual(expected);
    } finally {
      await server.admit(trust);
    }
  },
);

test('the sslmode may come from PGSSLMODE and its like, from key=value pairs, or from a default', async () => {
  const pairs = (more: string) => `host=localhost port=${server.port} dbname=app user=app ${more}`;
  expect(await outcome(pairs(''))).toBe('encrypted');
  expect(await outcome(pairs('sslmode=disable'))).toBe('plain');
  expect(await outcome(pairs(`sslmode=verify-full sslrootcert='${files['right.crt']}'`))).toBe(
    'encrypted',
  );
  vi.stubEnv('PGSSLMODE', 'verify-full');
  vi.stubEnv('PGSSLROOTCERT', files['wrong.crt']);
  expect(await outcome(url({}))).toBe('refused');
  expect(await outcome(url({ sslmode: 'disable' }))).toBe('plain');
  vi.stubEnv('PGSSLROOTCERT', files['right.crt']);
  for (const [name, value] of Object.entries({
    PGHOST: 'localhost',
    PGPORT: String(server.port),
    PGUSER: 'app',
    PGDATABASE: 'app',
  }))
    vi.stubEnv(name, value);
  expect(await ours()).toBe('encrypted');
  vi.stubEnv('PGHOST', '127.0.0.1');
  expect(await ours()).toBe('refused');
  vi.stubEnv('PGHOST', 'localhost');
  vi.stubEnv('PGHOSTADDR', '127.0.0.1');
  expect(await ours()).toBe('encrypted');
});

test('a root certificate in ~/.postgresql is held against the server’s in every mode that encrypts', async () => {
  const home = mkdtempSync(join(folder, 'home '));
  mkdirSync(join(home, '.postgresql'));
  const root = join(home, '.postgresql', 'root.crt');
  vi.stubEnv('HOME', home);
  for (const [authorityThere, expected] of [
    [authority, ['encrypted', 'encrypted', 'encrypted', 'encrypted']],
    [stranger, ['plain', 'refused', 'refused', 'refused']],
  ] as const) {
    writeFileSync(root, authorityThere.certificate);
    const found: Outcome[] = [];
    for (const sslmode of ['prefer', 'require', 'verify-ca', 'verify-full'])
      found.push(await outcome(url({ sslmode })));
    expect(found).toEqual(expected);
  }
});

test.each([
  [{ name: 'db', names: ['127.0.0.1'] }, 'encrypted', 'refused'],
  [{ name: '127.0.0.1', names: [] }, 'encrypted', 'refused'],
  [{ name: '127.0.0.1', names: ['10.0.0.1'] }, 'refused', 'refused'],
  [{ name: '127.0.0.1', names: ['db.example'] }, 'encrypted', 'refused'],
  [{ name: 'localhost', names: [] }, 'refused', 'encrypted'],
  [{ name: 'localhost', names: ['db.example'] }, 'refused', 'refused'],
] as const)(
  'verify-full of a certificate for %j: an address %s, localhost %s',
  async ({ name, names }, byAddress, byName) => {
    await server.present(makeCertificate({ name, names: [...names] }, authority));
    try {
      const settings = { sslmode: 'verify-full', sslrootcert: files['right.crt'] ?? '' };
      expect(await outcome(url(settings, '127.0.0.1'))).toBe(byAddress);
      expect(await outcome(url(settings))).toBe(byName);
    } finally {
      await server.present(local);
    }
  },
);

test('a server’s certificate that signs itself, has expired or was revoked is refused as psql refuses it', async () => {
  const alone = makeCertificate({ name: 'localhost' });
  const ended = makeCertificate({ name: 'localhost', until: new Date('2020-01-01') }, authority);
  keep('alone.crt', alone.certificate);
  keep('none.crl', makeRevocations(authority, []));
  keep('local.crl', makeRevocations(authority, [local]));
  const ca = (sslrootcert: string, more = {}) =>
    url({ sslmode: 'verify-ca', sslrootcert, ...more });
  const right = files['right.crt'] ?? '';
  try {
    await server.present(alone);
    expect(await outcome(ca(files['alone.crt'] ?? ''))).toBe('encrypted');
    expect(await outcome(ca(right))).toBe('refused');
    await server.present(ended);
    expect(await outcome(ca(right))).toBe('refused');
    expect(await why(ca(right))).toMatch(
      /^the certificate of localhost:\d+ was not accepted \(certificate has expired\)$/,
    );
  } finally {
    await server.present(local);
  }
  expect(await outcome(ca(right, { sslcrl: files['none.crl'] ?? '' }))).toBe('encrypted');
  expect(await outcome(ca(right, { sslcrl: files['local.crl'] ?? '' }))).toBe('refused');
});

test('a client’s certificate logs in, with its key locked or not', async () => {
  const own = makeCertificate({ name: 'app' }, clients);
  const key = createPrivateKey(own.key);
  const locked = key.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'q',
  });
  keep('own.crt', own.certificate);
  keep('own.key', own.key);
  keep('locked.key', locked as string);
  keep('foreign.crt', makeCertificate({ name: 'app' }, stranger).certificate);
  await server.admit('hostssl all app 127.0.0.1/32 cert');
  try {
    const sslcert = files['own.crt'] ?? '';
    const sslkey = files['locked.key'] ?? '';
    expect(await outcome(url({ sslcert, sslkey: files['own.key'] ?? '' }))).toBe('encrypted');
    expect(await outcome(url({ sslcert, sslkey, sslpassword: 'q' }))).toBe('encrypted');
    expect(await outcome(url({}))).toBe('refused');
    expect(await why(url({ sslmode: 'require' }))).toMatch(
      /^connection requires a valid client certificate: name yours with sslcert=FILE and sslkey=FILE$/,
    );
    expect(await why(url({ sslmode: 'require', sslcert, sslkey, sslpassword: 'wrong' }))).toMatch(
      /^no encryption with .*: check sslcert, sslkey, sslpassword/,
    );
    expect(await why(url({ sslmode: 'require', sslcert, sslkey: '/no/such' }))).toBe(
      'sslkey: no file /no/such',
    );
  } finally {
    await server.admit(trust);
  }
});

test('sslrootcert=system is what the system trusts, only with verify-full, and its default', async () => {
  const system = (more = {}) => url({ sslrootcert: 'system', ...more });
  expect(await ours(system())).toBe('refused');
  vi.stubEnv('SSL_CERT_FILE', files['right.crt']);
  expect(await ours(system())).toBe('encrypted');
  expect(await ours(url({ sslmode: 'verify-full' }))).toBe('encrypted');
  expect(await ours(url({ sslrootcert: 'system' }, '127.0.0.1'))).toBe('refused');
  expect(await why(system({ sslmode: 'require' }))).toMatch(
    /^sslrootcert=system is for sslmode=verify-full, not require$/,
  );
});

test('sslnegotiation=direct encrypts from the first byte, where the server can, and only where it must', async () => {
  const can = inject('major') >= 17;
  const direct = (sslmode: string) => url({ sslmode, sslnegotiation: 'direct' });
  expect(await ours(direct('require'))).toBe(can ? 'encrypted' : 'refused');
  expect(await why(direct('prefer'))).toMatch(
    /^sslnegotiation=direct is for sslmode=require and above/,
  );
});

test('channel_binding=require logs in only where the login is bound to the certificate', async () => {
  const bound = { channel_binding: 'require' };
  expect(await outcome(url(bound))).toBe('refused');
  await server.admit('host all app 127.0.0.1/32 scram-sha-256');
  try {
    vi.stubEnv('PGPASSWORD', 'p');
    expect(await outcome(url({ ...bound, sslmode: 'require' }))).toBe('encrypted');
    expect(await outcome(url({ ...bound, sslmode: 'disable' }))).toBe('refused');
    await server.admit('host all app 127.0.0.1/32 password');
    expect(await outcome(url({ ...bound, sslmode: 'require' }))).toBe('refused');
  } finally {
    await server.admit(trust);
  }
});

test('a command over TLS shows no warning of Node’s, and one line where it is refused', async () => {
  const nothingThere = /^no pg-credits in database app: run pg-credits deploy first\n$/;
  const at = (settings: Record<string, string>, host?: string) =>
    cli(['status', '--database-url', url(settings, host)], { HOME: folder });
  for (const sslmode of ['prefer', 'require'])
    expect((await at({ sslmode })).stderr).toMatch(nothingThere);
  const right = files['right.crt'] ?? '';
  const ca = await at({ sslmode: 'verify-ca', sslrootcert: right }, '127.0.0.1');
  expect(ca.stderr).toMatch(nothingThere);
  const full = await at({ sslmode: 'verify-full', sslrootcert: right }, '127.0.0.1');
  expect(full).toMatchObject({ code: 1, stdout: '' });
  expect(full.stderr).toMatch(
    /^the certificate of 127\.0\.0\.1:\d+ is for other names \(DNS:localhost\): connect by one of them, or use sslmode=verify-ca, which checks no name\n$/,
  );
});

test('an option of TLS that is not supported is refused in one line that says what to do', async () => {
  const said = (settings: Record<string, string>) => why(url(settings));
  expect(await said({ sslmode: 'require', sslrootcert: files['wrong.crt'] ?? '' })).toMatch(
    /^the certificate of localhost:\d+ was not issued by one that .*wrong\.crt has \(.*\): sslrootcert=FILE names its issuer's$/,
  );
  expect(await said({ sslmode: 'verify-ca' })).toMatch(
    /^sslmode=verify-ca needs a root certificate: add sslrootcert=FILE, or put it in .*root\.crt$/,
  );
  const missing = await said({ sslmode: 'require', sslrootcert: '/no/such' });
  expect(missing).toBe('sslrootcert: no file /no/such');
  expect(await said({ sslmode: 'yes' })).toMatch(/^sslmode is one of disable, allow, .*, not yes$/);
  await server.encrypt(false);
  const none = await said({ sslmode: 'require' }).finally(() => server.encrypt(true));
  expect(none).toMatch(
    /^the server at localhost:\d+ does not encrypt: use sslmode=disable, if the network may be trusted$/,
  );
});

test('a wrong password is reported once, and a missing one is asked for', async () => {
  await server.admit('host all app 127.0.0.1/32 scram-sha-256');
  try {
    vi.stubEnv('PGPASSWORD', 'wrong');
    expect(await why(url({}))).toMatch(/^password authentication failed for user "app": check/);
    vi.stubEnv('PGPASSWORD', '');
    expect(await why(url({}))).toMatch(/^the server asks for a password and none was given: check/);
    const port = String(server.port);
    keep(
      '.pgpass',
      `# mine\nelsewhere:${port}:app:app:no\nlocalhost:${port}:*:a\\pp:p\n*:*:*:*:no\n`,
    );
    expect(await outcome(url({}))).toBe('encrypted');
    execFileSync('chmod', ['644', files['.pgpass'] ?? '']);
    expect(await why(url({}))).toMatch(
      /\.pgpass is ignored, because others may read it: chmod 600 /,
    );
    keep('passwords', `localhost:${port}:app:app:p\n`);
    expect(await outcome(url({ passfile: files.passwords ?? '' }))).toBe('encrypted');
  } finally {
    await server.admit(trust);
  }
});
