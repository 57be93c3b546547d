import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { type Proxy as DelayingProxy, startProxy } from '../postgres/proxy.ts';
import { deployArguments } from './previous.ts';

/** Where a deploy is stopped: before a request of its transaction, at a command within a file, or after its commit. */
export type Stop = { request: number } | { command: number } | 'committed';

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
}

export interface StoppingDeploy {
  child: ChildProcess;
  /** Its requests since its transaction began. */
  requests: string[];
  proxy: DelayingProxy;
  /** Resolves when it has stopped, with its backend's pid; rejects when it ended instead. */
  stopped: Promise<number>;
  ended: Promise<Ended>;
}

// Any number that nobody else uses.
const stopLock = 720112;

/** Done once per database: counts the commands that change the schema, as each one ends. */
export const countCommands = `
  create schema torture;
  grant usage on schema torture to public;
  create sequence torture.commands;
  grant usage on sequence torture.commands to public;
  create function torture.count_command() returns event_trigger language plpgsql as $$
  begin
    if pg_catalog.nextval('torture.commands')::text
      = pg_catalog.current_setting('torture.stop_at', true)
    then
      perform pg_catalog.set_config('lock_timeout', '0', true);
      perform pg_catalog.pg_advisory_xact_lock(${stopLock});
      -- Its time for locks went by while it was held: what is left of the file must not wait.
      perform pg_catalog.set_config('lock_timeout', '1ms', true);
    end if;
  end $$;
  create event trigger count_command on ddl_command_end
    execute function torture.count_command()`;

export const commandsCounted = async (client: pg.Client): Promise<number> =>
  Number((await client.query('select last_value from torture.commands')).rows[0].last_value);

/** Counts from the start; the session that reaches the command to stop at is held up until `letGo`. */
export async function prepareStop(client: pg.Client, stop: Stop): Promise<void> {
  const command = typeof stop === 'object' && 'command' in stop ? stop.command : 0;
  const { rows } = await client.query('select current_database() as name');
  await client.query(`alter database ${rows[0].name} set torture.stop_at = '${command}'`);
  await client.query(`select setval('torture.commands', 1, false)`);
  await client.query(`select pg_advisory_lock(${stopLock})`);
}

export const letGo = (client: pg.Client) => client.query('select pg_advisory_unlock_all()');

/** The command line as a process of its own, through a proxy that stops it. */
export async function startDeploy(
  to: { command: string; url: string; rolePrefix: string; admin: pg.Client },
  stop?: Stop,
): Promise<StoppingDeploy> {
  const requests: string[] = [];
  let reached = () => {};
  const arrived = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const forever = () => {
    reached();
    return new Promise(() => {});
  };
  // The client asks one thing at a time, so what it sends after an answer begins a request.
  let answered = true;
  const hold = (piece: Buffer, from: 'client' | 'server') => {
    if (from === 'server') {
      answered = true;
      return stop === 'committed' && requests.at(-1) === 'commit' ? forever() : undefined;
    }
    if (!answered) return;
    answered = false;
    const text = textOf(piece);
    if (text.startsWith('begin ')) requests.length = 0;
    if (requests.length > 0 || text.startsWith('begin ')) requests.push(text);
    const here = typeof stop === 'object' && 'request' in stop && stop.request;
    return here === requests.length - 1 ? forever() : undefined;
  };
  const proxy = await startProxy(to.url, { hold });
  const args = deployArguments(to.command, proxy.url, to.rolePrefix);
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = endOf(child);
  const atCommand = stop !== undefined && typeof stop === 'object' && 'command' in stop;
  const where = atCommand ? seenWaiting(to.admin) : arrived;
  const stopped = Promise.race([where.then(() => backendOf(to.admin)), ended.then(tooEarly)]);
  stopped.catch(() => {}); // handled where somebody waits for the stop
  return { child, requests, proxy, stopped, ended };
}

/** A simple query begins with its text, and a statement with parameters with a name, which is empty. */
function textOf(piece: Buffer): string {
  const text = piece.toString('utf8', 5);
  return (piece[0] === 0x50 ? text.slice(1) : text).split('\0', 1)[0] ?? '';
}

async function endOf(child: ChildProcess): Promise<Ended> {
  let stderr = '';
  child.stderr?.on('data', (data) => {
    stderr += data;
  });
  const [code, signal] = await once(child, 'close');
  return { code, signal, stderr };
}

const tooEarly = ({ code, stderr }: Ended): never => {
  throw new Error(`the deploy ended with ${code} before it was to be stopped: ${stderr}`);
};

async function seenWaiting(admin: pg.Client): Promise<void> {
  const waiting = `select from pg_locks where locktype = 'advisory' and objid = ${stopLock}
    and not granted and database = (select oid from pg_database where datname = current_database())`;
  while ((await admin.query(waiting)).rowCount === 0) await sleep(5);
}

async function backendOf(admin: pg.Client): Promise<number> {
  const { rows } = await admin.query(
    `select pid from pg_stat_activity
     where datname = current_database() and application_name = 'pg-credits'`,
  );
  return rows[0].pid;
}
