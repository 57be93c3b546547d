import { setTimeout as sleep } from 'node:timers/promises';
import { type DeployOptions, deploy } from '../../scripts/deploy/deploy.ts';
import { startProxy } from '../../tools/postgres/proxy.ts';
import type { Database } from '../support/database.ts';

/** A deploy that commits when all these callers have been seen to wait for it, and `meanwhile` is over. */
export async function deployWhileAllWait(
  db: Database,
  options: DeployOptions,
  callers: number[],
  meanwhile: () => Promise<unknown> = async () => {},
) {
  const proxy = await startProxy(db.url, {
    hold: (piece, from) =>
      from === 'client' && piece.includes('Q\0\0\0\x0bcommit\0', 'latin1')
        ? untilAllWait(db, callers).then(meanwhile)
        : undefined,
  });
  try {
    return await deploy({ connectionString: proxy.url }, options);
  } finally {
    await proxy.close();
  }
}

async function untilAllWait(db: Database, pids: number[]): Promise<void> {
  const waiting = `select count(*)::int as waiting from pg_stat_activity
    where pid = any($1) and wait_event_type = 'Lock'`;
  while ((await db.one(waiting, [pids])).waiting < pids.length) await sleep(5);
}
