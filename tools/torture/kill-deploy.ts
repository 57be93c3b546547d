import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { changedMarks, readMarks } from './catalogue-marks.ts';
import type { Scratch } from './databases.ts';
import { type Ended, letGo, prepareStop, type Stop, startDeploy } from './stopping-deploy.ts';

export const ways = ['SIGKILL', 'terminated backend', 'SIGTERM', 'SIGINT'] as const;
export type Way = (typeof ways)[number];

export interface Killing {
  command: string;
  rolePrefix: string;
  stop: Stop;
  way: Way;
}

/** Kills a deploy where it stops; throws unless everything is as before, or committed. */
export async function killDeploy({ url, admin }: Scratch, killing: Killing): Promise<void> {
  const { command, rolePrefix, stop, way } = killing;
  await prepareStop(admin, stop);
  const before = await readMarks(admin);
  const deploying = await startDeploy({ command, url, rolePrefix, admin }, stop);
  const pid = await deploying.stopped;
  if (way === 'terminated backend') {
    await admin.query('select pg_terminate_backend($1, 10000)', [pid]);
    deploying.proxy.breakAll(); // including one with an answer that was held back
  } else deploying.child.kill(way);
  const ended = await deploying.ended;
  await letGo(admin);
  await untilGone(admin, pid);
  await deploying.proxy.close();

  checkWords(ended, way, deploying.requests.at(-1) === 'commit', stop === 'committed');
  const changed = changedMarks(before, await readMarks(admin));
  expect(stop === 'committed' || changed.length === 0, `it changed ${changed.join(', ')}`);
  await expectNothingHeld(admin);
}

/** The server notices that a client is gone only when it has finished the request and answers. */
async function untilGone(admin: pg.Client, pid: number): Promise<void> {
  const there = () => admin.query('select from pg_stat_activity where pid = $1', [pid]);
  while ((await there()).rowCount !== 0) await sleep(5);
}

/** Checks that what a killed deploy reported is true. */
function checkWords({ code, signal, stderr }: Ended, way: Way, mayHave: boolean, has: boolean) {
  const said = `${code ?? signal}: ${stderr}`;
  if (way === 'SIGKILL') return expect(signal === 'SIGKILL', said);
  if (way !== 'terminated backend')
    return expect(code === (way === 'SIGTERM' ? 143 : 130) && /^interrupted: /m.test(stderr), said);
  const words = mayHave ? /whether it took effect is unknown/ : /: nothing was changed;/;
  expect(code === 1 && words.test(stderr) && !(has && /nothing was changed/.test(stderr)), said);
}

async function expectNothingHeld(admin: pg.Client): Promise<void> {
  const { rows } = await admin.query(
    `select 'prepared transaction ' || gid as what from pg_prepared_xacts
     union all select 'advisory lock ' || objid from pg_locks where locktype = 'advisory'
     union all select 'session ' || pid from pg_stat_activity
       where application_name = 'pg-credits' and datname = current_database()`,
  );
  expect(rows.length === 0, `left behind: ${rows.map(({ what }) => what).join(', ')}`);
}

export function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}
