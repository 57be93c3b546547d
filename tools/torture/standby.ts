import { execFile } from 'node:child_process';
import { chownSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { owner, type Postgres } from '../postgres/embedded.ts';
import type { Context } from './fault.ts';
import { startServer } from './ground.ts';
import { connectTo } from './session.ts';

export const standbyName = 'standby';

/** A copy of a running primary, taken under load, that follows it from then on. */
export function startStandby(primary: Postgres, context: Context): Promise<Postgres> {
  const { port } = primary;
  return startServer(context, {
    fill: (data) => backUp(primary, data),
    settings: {
      primary_conninfo: `host=127.0.0.1 port=${port} user=postgres application_name=${standbyName}`,
    },
  });
}

/** With the low-level backup API: the files were copied at different moments, and the WAL makes them consistent. */
async function backUp({ url, data }: Postgres, to: string): Promise<void> {
  const client = await connectTo(url);
  try {
    await client.query(`select pg_backup_start('standby', fast => true)`);
    await copy(data, to);
    const { rows } = await client.query('select labelfile from pg_backup_stop(false)');
    for (const [file, text] of Object.entries({
      backup_label: rows[0].labelfile,
      'standby.signal': '',
    })) {
      const path = join(to, file);
      writeFileSync(path, text);
      if (owner) chownSync(path, owner.uid, owner.gid);
    }
  } finally {
    await client.end();
  }
}

async function copy(from: string, to: string): Promise<void> {
  // Its status reports even files that were gone before their turn came; if one matters, the start fails.
  await new Promise((resolve) => execFile('cp', ['-a', from, to], resolve));
  rmSync(join(to, 'postmaster.pid'));
  // Once promoted, it has no standby to wait for. A server that was never reconfigured has no such file.
  rmSync(join(to, 'postgresql.auto.conf'), { force: true });
  // The primary sends the WAL: a segment copied while it was written may be neither old nor new.
  const wal = join(to, 'pg_wal');
  for (const entry of readdirSync(wal, { withFileTypes: true }))
    if (entry.isFile()) rmSync(join(wal, entry.name));
}

/** Resolves when the primary no longer acknowledges anything that its standby does not have. */
export async function makeSynchronous({ url }: Postgres, level: string): Promise<void> {
  const client = await connectTo(url);
  await client.query(`alter system set synchronous_standby_names = '${standbyName}'`);
  await client.query(`alter system set synchronous_commit = '${level}'`);
  await client.query('select pg_reload_conf()');
  await until(url, `select current_setting('synchronous_commit') = '${level}'`);
  // The checkpointer makes the other processes wait for the standby, before its next checkpoint.
  await client.query('checkpoint');
  await client.end();
  await until(
    url,
    `select exists (select from pg_stat_replication where sync_state = 'sync' and state = 'streaming')`,
  );
}

/** Each time on a new connection, which has the settings that the postmaster has read by then. */
async function until(url: string, condition: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const client = await connectTo(url);
    const { rows } = await client.query(`select (${condition}) as met`);
    await client.end();
    if (rows[0].met) return;
    if (Date.now() > deadline) throw new Error(`not within 60 s: ${condition}`);
    await sleep(20);
  }
}
