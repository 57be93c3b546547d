import { UsageError } from '../shell/explain.ts';

// libpq's names for what describes a connection, as in a URL or in key=value pairs, each with the environment variable
// that stands in for it.

const keywords = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  passfile: 'PGPASSFILE',
  service: 'PGSERVICE',
  options: 'PGOPTIONS',
  application_name: 'PGAPPNAME',
  connect_timeout: 'PGCONNECT_TIMEOUT',
  channel_binding: 'PGCHANNELBINDING',
  sslmode: 'PGSSLMODE',
  sslnegotiation: 'PGSSLNEGOTIATION',
  sslrootcert: 'PGSSLROOTCERT',
  sslcrl: 'PGSSLCRL',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslpassword: undefined,
  sslcertmode: 'PGSSLCERTMODE',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  // These are demands: we refuse those that we cannot meet.
  require_auth: 'PGREQUIREAUTH',
  requirepeer: 'PGREQUIREPEER',
  sslcrldir: 'PGSSLCRLDIR',
  gssencmode: 'PGGSSENCMODE',
} as const;

export type Keyword = keyof typeof keywords;
export type Settings = Partial<Record<Keyword, string>>;

/** libpq knows these; they mean nothing here. */
const indifferent =
  /^(client_encoding|fallback_application_name|keepalives(_\w+)?|tcp_user_timeout|target_session_attrs|load_balance_hosts|sslcompression|sslsni|krbsrvname|gsslib|gssdelegation)$/;

const isKeyword = (name: string): name is Keyword => Object.hasOwn(keywords, name);

export function parseConninfo(text: string): Settings {
  const url = /^postgres(?:ql)?:\/\/(?:([^/]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/is.exec(text);
  if (url) return withoutEmpty(parseUrl(url));
  if (/^\s*\w+\s*=/.test(text)) return withoutEmpty(parsePairs(text));
  // The message does not quote the URL, which may hold a password.
  throw new UsageError(
    'this is not a database URL: postgres://user:password@host:5432/name is expected, or host=… dbname=… user=…',
  );
}

/** The settings in environment variables; an empty variable counts as unset. */
export function settingsOfEnvironment(): Settings {
  const settings: Settings = {};
  for (const [keyword, variable] of Object.entries(keywords))
    if (variable !== undefined && process.env[variable])
      settings[keyword as Keyword] = process.env[variable];
  return settings;
}

function parseUrl([, credentials = '', place = '', dbname = '', query = '']: string[]): Settings {
  const [, user = '', password = ''] = /^([^:]*):?(.*)$/s.exec(credentials) ?? [];
  const [, host = '', port = ''] = /^(\[[^\]]*\]|[^:]*):?(.*)$/s.exec(place) ?? [];
  const settings: Settings = {
    user: decode(user),
    password: decode(password),
    host: decode(host.replace(/^\[(.*)\]$/, '$1')),
    port: decode(port),
    dbname: decode(dbname),
  };
  for (const pair of query.split('&')) {
    const [name = '', value = ''] = pair.split(/=(.*)/s, 2).map(decode);
    const keyword = { database: 'dbname', ssl: 'sslmode' }[name] ?? name;
    if (name === 'ssl') settings.sslmode ??= sslmodeOf(value);
    else if (keyword === 'options') settings.options = spaced(value);
    else if (isKeyword(keyword)) settings[keyword] = value;
    // Many an app's URL has settings of other drivers; one about encryption must not be ignored.
    else if (/^ssl/.test(name) && !indifferent.test(name)) throw unknown(name);
  }
  return settings;
}

/** `-c+a=1+-c+b=2`, as libraries write a space; in GMT+3 it is a plus. */
const spaced = (options: string) => options.replace(/(^|\+)(-c)\+/g, ' $2 ').trimStart();

/** ssl=true is JDBC's, and libpq takes it; 0 and false are node-postgres's. */
const sslmodeOf = (value: string) => (/^(0|false)$/.test(value) ? 'disable' : 'require');

/** Decodes %XX; any other % stands for itself, as in node-postgres. */
function decode(text: string): string {
  try {
    const decoded = decodeURIComponent(text.replace(/%(?![0-9a-f]{2})/gi, '%25'));
    if (!decoded.includes('\0')) return decoded;
  } catch {
    // not UTF-8
  }
  throw new UsageError('the database URL cannot be used: it has a %XX that is not a character');
}

const pairs = /\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)|\s+$/gsy;

function parsePairs(text: string): Settings {
  const settings: Settings = {};
  let end = 0;
  for (const match of text.matchAll(pairs)) {
    const [all, name, quoted, plain = ''] = match;
    end = match.index + all.length;
    if (name === undefined) continue;
    if (!isKeyword(name) && !indifferent.test(name)) throw unknown(name);
    if (isKeyword(name)) settings[name] = (quoted ?? plain).replace(/\\(.)/gs, '$1');
  }
  if (end < text.length)
    throw new UsageError(
      "the database's key=value pairs cannot be read: put '…' around a value with spaces",
    );
  return settings;
}

const unknown = (name: string) =>
  new UsageError(`the database URL has a setting that libpq does not know: ${name}`);

const withoutEmpty = (settings: Settings): Settings =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== ''));
