import pg from 'pg';
import { Failure, type Target } from '../shell/explain.ts';
import { lacksTls, mayFallBack } from '../shell/explain-tls.ts';
import { passwordOf, readSettings, systemUser } from './settings.ts';
import { encryptions, rootOf } from './tls.ts';

/** One way to connect. */
export interface Way {
  config: pg.ClientConfig;
  /** For messages. */
  target: Target;
  /** Accept only a login that the server binds to its certificate. */
  bound: boolean;
}

/** As in libpq, the connection string or the environment says where to connect, as whom, and how to encrypt. */
export function waysTo({ connectionString, ...given }: pg.ClientConfig): Way[] {
  const settings = readSettings(connectionString);
  const { hostaddr, sslnegotiation, channel_binding: binding } = settings;
  const host = settings.host ?? hostaddr ?? 'localhost';
  const port = Number(settings.port ?? 5432);
  const user = settings.user ?? systemUser() ?? '';
  const database = settings.dbname ?? user;
  const seconds = Number(settings.connect_timeout ?? 10);
  const config: pg.ClientConfig = {
    host: hostaddr ?? host,
    port,
    user,
    database,
    // A function, so that the password file is read only if the server wants a password.
    password: async () =>
      passwordOf(settings, [hostOfPassword(host), String(port), database, user]),
    application_name: settings.application_name ?? 'pg-credits',
    connectionTimeoutMillis: Math.max(0, seconds) * 1000,
    keepAlive: true,
    enableChannelBinding: binding === 'require',
    ...(settings.options === undefined ? {} : { options: settings.options }),
    ...given,
  };
  const root = rootOf(settings);
  const fromUrl = connectionString !== undefined;
  const target: Target = { host, port, user, database, fromUrl, root };
  return encryptions(settings, host).map((ssl) => ({
    config: {
      ...config,
      ssl,
      sslnegotiation: ssl && sslnegotiation === 'direct' ? 'direct' : 'postgres',
    },
    target,
    bound: binding === 'require',
  }));
}

const hostOfPassword = (host: string) =>
  host === '/tmp' || host === '/var/run/postgresql' ? 'localhost' : host;

/** Tries encrypted and plain, or plain and encrypted: the second way is for a server that does not accept the first. */
export async function firstWay(ways: Way[]) {
  const errors: { error: unknown; way: Way }[] = [];
  for (const way of ways) {
    try {
      return await open(way);
    } catch (error) {
      errors.push({ error, way });
      if (!mayFallBack(error, way.config.ssl !== false)) break;
    }
  }
  // Of two errors, the encrypted attempt's says more, unless it only says that there is no encryption.
  const telling = errors.filter(({ error }) => !lacksTls(error));
  const [first] = [...telling.filter(({ way }) => way.config.ssl), ...telling, ...errors];
  const { error, way } = first as (typeof errors)[0];
  return { error, target: way.target };
}

async function open({ config, bound }: Way): Promise<pg.Client> {
  const client = new pg.Client(config);
  // A connection that dies between two queries must not end the process: the next query reports it.
  client.on('error', () => {});
  const isBound = bound ? demandBinding(client) : () => true;
  try {
    await client.connect();
    if (!isBound()) throw notBound();
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

interface Channel {
  stream: { destroy(error: Error): void };
  on(event: string, listener: (message: { mechanisms?: string[] }) => void): void;
}

const notBound = () =>
  new Failure(
    'the server does not bind the login to its certificate, as channel_binding=require wants',
  );

/**
 * channel_binding=require: a man in the middle can pass a login on, but not one that is bound to a certificate. So this
 * answers no other login. Once connected, the returned function says whether there was a bound one.
 */
function demandBinding(client: pg.Client): () => boolean {
  const { connection } = client as unknown as { connection: Channel };
  const refuse = () => connection.stream.destroy(notBound());
  let bound = false;
  connection.on('authenticationSASL', ({ mechanisms = [] }) => {
    bound = mechanisms.includes('SCRAM-SHA-256-PLUS');
    if (!bound) refuse();
  });
  for (const other of ['CleartextPassword', 'MD5Password'])
    connection.on(`authentication${other}`, refuse);
  return () => bound;
}
