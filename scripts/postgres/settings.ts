import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { Failure, UsageError } from '../shell/explain.ts';
import { parseConninfo, type Settings, settingsOfEnvironment } from './conninfo.ts';

/** The connection string counts first, then its service, then the environment, as in libpq. */
export function readSettings(text: string | undefined): Settings {
  const given = text === undefined ? {} : parseConninfo(text);
  const environment = settingsOfEnvironment();
  const service = given.service ?? environment.service;
  const settings = { ...environment, ...(service ? readService(service) : {}), ...given };
  check(settings);
  return settings;
}

/** Demands besides encryption: we can meet these values, and refuse others. */
const demands = {
  require_auth: [],
  requirepeer: [],
  sslcrldir: [],
  gssencmode: ['disable', 'prefer'],
  sslcertmode: ['disable', 'allow'],
} as const;

/** An unescaped password can end up in any part of a URL, so the message quotes no part of it. */
function check(settings: Settings) {
  const { host = '', hostaddr = '', port = '5432' } = settings;
  if (`${host}${hostaddr}${port}`.includes(','))
    throw new UsageError('the database URL names several hosts: name the primary alone');
  if (!/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535)
    throw new UsageError(
      'the database URL cannot be used: its port is not a number from 1 to 65535 (in a password, write / as %2F, @ as %40)',
    );
  if (!/^-?\d*$/.test(settings.connect_timeout ?? ''))
    throw new UsageError(
      `connect_timeout must be a number of seconds, not ${settings.connect_timeout}`,
    );
  for (const [name, fine] of Object.entries(demands)) {
    const value = settings[name as keyof typeof demands];
    if (value !== undefined && !(fine as readonly string[]).includes(value))
      throw new UsageError(
        `${name}=${value} is not something that pg-credits supports: leave it out`,
      );
  }
}

/** Where libpq looks for files that nobody named: in the user's home. */
export function ownFile(name: string): string {
  if (process.platform !== 'win32') return join(homedir(), name);
  const folder = join(process.env.APPDATA ?? homedir(), 'postgresql');
  return join(folder, name === '.pgpass' ? 'pgpass.conf' : basename(name));
}

function readService(name: string): Settings {
  const { PGSERVICEFILE, PGSYSCONFDIR } = process.env;
  const files = [
    PGSERVICEFILE || ownFile('.pg_service.conf'),
    ...(PGSYSCONFDIR ? [join(PGSYSCONFDIR, 'pg_service.conf')] : []),
  ];
  for (const file of files.filter((each) => existsSync(each))) {
    const lines = readFileSync(file, 'utf8').split(/\r?\n/);
    const at = lines.findIndex((line) => line.trim() === `[${name}]`);
    if (at < 0) continue;
    const next = lines.findIndex((line, i) => i > at && /^\s*\[/.test(line));
    const section = lines.slice(at + 1, next < 0 ? undefined : next);
    const pairs = section.flatMap((line) => /^\s*(\w+)=(.*?)\s*$/.exec(line)?.slice(1, 3) ?? []);
    const quoted = pairs.map((part, i) =>
      i % 2 === 0 ? `${part}=` : `'${part.replace(/[\\']/g, '\\$&')}' `,
    );
    return quoted.length === 0 ? {} : parseConninfo(quoted.join(''));
  }
  throw new UsageError(`no service ${name} in ${files.join(' or ')}`);
}

/** The user that libpq takes when none is named. */
export function systemUser(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined; // no passwd entry
  }
}

/** Called when the server wants a password. Where none was given, the password file may have it. */
export function passwordOf(settings: Settings, to: string[]): string {
  if (settings.password !== undefined) return settings.password;
  const file = settings.passfile ?? ownFile('.pgpass');
  const found = existsSync(file) ? readPassword(file, to) : undefined;
  // node-postgres's own words for it, which explain() knows.
  if (found === undefined) throw new Error('client password must be a string');
  return found;
}

/** Each line is host:port:database:user:password, `*` matches anything, and the first match counts. */
function readPassword(file: string, to: string[]): string | undefined {
  if (process.platform !== 'win32' && statSync(file).mode & 0o077)
    throw new Failure(`${file} is ignored, because others may read it: chmod 600 ${file}`);
  for (const line of readFileSync(file, 'utf8').split(/\r?\n/)) {
    const [, ...fields] = entry.exec(line) ?? [];
    const plain = fields.map((field) => field.replace(/\\(.)/g, '$1'));
    if (fields.length > 0 && to.every((value, i) => fields[i] === '*' || plain[i] === value))
      return plain[4];
  }
  return undefined;
}

const field = '((?:[^:\\\\]|\\\\.)*):';
const entry = new RegExp(`^(?!#)${field.repeat(4)}(.*)$`);
