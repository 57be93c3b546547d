import { aboutTls } from './explain-tls.ts';

/** An error whose message is the one line that a person should read. */
export class Failure extends Error {
  readonly code: string | undefined;
  constructor(message: string, code?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The command line itself was wrong: the exit status is 2. */
export class UsageError extends Failure {}

export interface Target {
  host: string;
  port: number;
  database: string;
  user: string;
  /** Whether these came from a URL, so that a message can say which setting to check. */
  fromUrl: boolean;
  /** The root certificate that the server's is checked against. */
  root: string | undefined;
}

export function codeOf(error: unknown): string | undefined {
  const { code } = rootOf(error) as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
}

// Node tries every address of a host and throws all failures together; the first says enough.
function rootOf(error: unknown): object {
  if (error instanceof AggregateError && error.errors.length > 0) return rootOf(error.errors[0]);
  return typeof error === 'object' && error !== null ? error : new Error(String(error));
}

const LOST = new Set(['57P01', '57P02', 'ECONNRESET', 'EPIPE', '08006', '08003', '25P03', '25P04']);

export function isLostConnection(error: unknown): boolean {
  return LOST.has(codeOf(error) ?? '') || /Connection terminated|not queryable/.test(text(error));
}

const UNREACHABLE = new Set(['ECONNREFUSED', 'ENOENT', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH']);
const UNRESOLVED = new Set(['ENOTFOUND', 'EAI_AGAIN']);

/** May the same connection attempt succeed a little later? */
export function isStarting(error: unknown): boolean {
  const code = codeOf(error) ?? '';
  if (code === '57P03' || UNREACHABLE.has(code) || UNRESOLVED.has(code)) return true;
  return isLostConnection(error) || /timeout expired|cannot connect to server/.test(text(error));
}

function text(error: unknown): string {
  const message = (rootOf(error) as Error).message;
  return typeof message === 'string' ? message : String(error);
}

/** One line that says what happened and what to check; never a password. */
export function explain(error: unknown, target?: Target): string {
  if (error instanceof Failure) return error.message;
  const line = oneLine(text(error));
  const at = target ? `${target.host}:${target.port}` : 'the server';
  const known = aboutServer(error, line, at, target) ?? aboutStatement(codeOf(error), line);
  return known ?? line;
}

function aboutServer(error: unknown, line: string, at: string, target?: Target) {
  const code = codeOf(error) ?? '';
  const setting = target?.fromUrl ? '--database-url or DATABASE_URL' : 'PGHOST and PGPORT';
  if (code === 'ECONNREFUSED' || code === 'ENOENT')
    return `no server answers at ${at}: is it running? check ${setting}, or use --wait SECONDS`;
  if (UNREACHABLE.has(code) || /timeout expired/.test(line))
    return `no answer from ${at}: check ${setting}, and the firewall in between`;
  if (UNRESOLVED.has(code)) return `no such host: ${target?.host ?? line}: check ${setting}`;
  if (code === '57P03') return `the server at ${at} is not ready (${line}): use --wait SECONDS`;
  if (/cannot connect to server/.test(line))
    return `the pooler at ${at} answers, but cannot reach its server (${line})`;
  if (target && isLostConnection(error))
    return `${at} closed the connection (${line}): is it a Postgres server? check ${setting}`;
  return aboutLogin(code, line, target) ?? aboutTls(code, line, at, target?.root);
}

function aboutLogin(code: string, line: string, target?: Target) {
  const credentials = target?.fromUrl ? 'the database URL' : 'PGUSER and PGPASSWORD';
  if (/client password must be a string|empty string/.test(line))
    return `the server asks for a password and none was given: check ${credentials}`;
  if (code === '28P01') return `${line}: check ${credentials}`;
  if (code === '3D000' || /no such database/.test(line))
    return `${line}: create it first, or check ${target?.fromUrl ? credentials : 'PGDATABASE'}`;
  if (/^role .* does not exist$/.test(line)) return `${line}: check ${credentials}`;
  if (/no pg_hba.conf entry/.test(line))
    return `${line}: the server refuses this combination of user, address and encryption (sslmode)`;
  if (/valid client certificate/.test(line))
    return `${line}: name yours with sslcert=FILE and sslkey=FILE`;
  if (code === '28000') return `${line}: check ${credentials}, and the server's pg_hba.conf`;
  return undefined;
}

function aboutStatement(code: string | undefined, line: string) {
  if (code === '42501') return `${line}: the connecting user lacks this privilege`;
  if (/during recovery$/.test(line))
    return 'this server is a read-only replica: connect to the primary';
  if (/conflict with recovery/.test(line))
    return `${line}: the replica applied changes of the primary meanwhile; run it again`;
  if (code === '25006') return `${line}: is this a read-only replica? connect to the primary`;
  if (code === '55P03') return `${line}: somebody else holds a lock on it; try again later`;
  if (code === '53300') return `${line}: the server has no connection left`;
  if (code === '57014') return `${line}: the statement was cancelled or timed out`;
  if (LOST.has(code ?? '') || /Connection terminated|not queryable/.test(line))
    return `lost the connection to the server (${line})`;
  return undefined;
}

/** Errors that --json has already shown, inside an object that had been begun. */
export const toldAlready = new WeakSet<object>();

/** What --json shows: the SQLSTATE or Node's code, the line, and the database's detail. */
export function errorObject(error: unknown) {
  const code = error instanceof UsageError ? 'usage' : codeOf(error);
  return { code: code ?? null, message: explain(error), detail: detailOf(error) ?? null };
}

function detailOf(error: unknown): unknown {
  const { detail, cause } = rootOf(error) as { detail?: unknown; cause?: unknown };
  if (typeof detail !== 'string') return cause === undefined ? undefined : detailOf(cause);
  try {
    return JSON.parse(detail); // ours is JSON, Postgres's own is a sentence
  } catch {
    return detail;
  }
}

function oneLine(message: string): string {
  const line = message.split('\n', 1)[0]?.trim() || 'unknown error';
  return line.replace(/(\w+:\/\/[^:@/\s]*):[^@\s]*@/g, '$1:***@');
}
