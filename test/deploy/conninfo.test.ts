import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, inject, test, vi } from 'vitest';
import { parseConninfo } from '../../scripts/postgres/conninfo.ts';
import { readSettings } from '../../scripts/postgres/settings.ts';
import { waysTo } from '../../scripts/postgres/ways.ts';

// What the machine's own user has set up is not ours.
beforeEach(() => {
  for (const name of Object.keys(process.env)) if (/^PG/.test(name)) vi.stubEnv(name, undefined);
  vi.stubEnv('HOME', mkdtempSync(join(inject('folder'), 'home ')));
});
afterEach(() => vi.unstubAllEnvs());

test.each([
  ['postgres://', {}],
  ['postgresql:///shop', { dbname: 'shop' }],
  ['postgres://me@db/shop', { user: 'me', host: 'db', dbname: 'shop' }],
  ['POSTGRES://db:1234', { host: 'db', port: '1234' }],
  [
    'postgres://me:a%40b%2Fc%25@db/a%20b',
    { user: 'me', password: 'a@b/c%', host: 'db', dbname: 'a b' },
  ],
  [
    'postgres://me:p@ss:w%rd?#@db/shop',
    { user: 'me', password: 'p@ss:w%rd?#', host: 'db', dbname: 'shop' },
  ],
  ['postgres://me@[::1]:5433/shop', { user: 'me', host: '::1', port: '5433', dbname: 'shop' }],
  ['postgres://%2Fvar%2Frun/shop', { host: '/var/run', dbname: 'shop' }],
  [
    'postgres:///shop?host=/tmp&port=6&user=me',
    { host: '/tmp', port: '6', user: 'me', dbname: 'shop' },
  ],
  ['postgres://db/shop?options=-c%20a%3Db', { host: 'db', dbname: 'shop', options: '-c a=b' }],
  [
    'postgres://db?options=-c+a%3D1+-c+timezone%3DEtc%2FGMT%2B3',
    { host: 'db', options: '-c a=1 -c timezone=Etc/GMT+3' },
  ],
  ['postgres://db/shop?sslmode=', { host: 'db', dbname: 'shop' }],
  ['postgres://db/shop?ssl=true', { host: 'db', dbname: 'shop', sslmode: 'require' }],
  ['postgres://db/shop?ssl=0', { host: 'db', dbname: 'shop', sslmode: 'disable' }],
  [
    'postgres://db/shop?schema=public&pgbouncer=true&client_encoding=UTF8&sslsni=1',
    { host: 'db', dbname: 'shop' },
  ],
  ['host=db port = 1234 dbname=shop', { host: 'db', port: '1234', dbname: 'shop' }],
  [
    "  user='a b' password='it\\'s \\\\' dbname=s\\ p ",
    { user: 'a b', password: "it's \\", dbname: 's p' },
  ],
  ["host='' dbname=shop connect_timeout=3", { dbname: 'shop', connect_timeout: '3' }],
])('%s is understood as libpq and node-postgres do', (text, settings) => {
  expect(parseConninfo(text)).toEqual(settings);
});

test('what a connection string says comes before its service, and that before the environment', () => {
  const file = join(mkdtempSync(join(inject('folder'), 'service ')), 'services');
  writeFileSync(
    file,
    "# ours\n[other]\nhost=other\n[shop]\nhost=db.shop\nuser=it's me\n\n[last]\n",
  );
  vi.stubEnv('PGSERVICEFILE', file);
  vi.stubEnv('PGHOST', 'from env');
  vi.stubEnv('PGUSER', 'from env');
  vi.stubEnv('PGDATABASE', 'from env');
  vi.stubEnv('PGAPPNAME', '');
  expect(readSettings(undefined)).toEqual({
    host: 'from env',
    user: 'from env',
    dbname: 'from env',
  });
  const found = { service: 'shop', host: 'db.shop', user: "it's me", dbname: 'from env' };
  expect(readSettings('service=shop')).toEqual(found);
  expect(readSettings('host=here service=shop')).toEqual({ ...found, host: 'here' });
  vi.stubEnv('PGSERVICE', 'shop');
  expect(readSettings(undefined)).toEqual(found);
});

test('a connection defaults to localhost, 5432 and one’s own name, which is also the database’s', () => {
  const [way] = waysTo({});
  const { user } = way?.target ?? {};
  expect(user).not.toBe('');
  expect(way?.target).toMatchObject({
    host: 'localhost',
    port: 5432,
    database: user,
    fromUrl: false,
  });
  expect(way?.config).toMatchObject({
    application_name: 'pg-credits',
    connectionTimeoutMillis: 10_000,
  });
  vi.stubEnv('PGAPPNAME', 'nightly');
  vi.stubEnv('PGCONNECT_TIMEOUT', '3');
  expect(waysTo({})[0]?.config).toMatchObject({
    application_name: 'nightly',
    connectionTimeoutMillis: 3000,
  });
});

test('a connection through a socket is not encrypted, whatever the sslmode', () => {
  vi.stubEnv('PGSSLMODE', 'verify-full');
  const ways = waysTo({ connectionString: 'postgres:///shop?host=/tmp' });
  expect(ways.map(({ config }) => config.ssl)).toEqual([false]);
});
