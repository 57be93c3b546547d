import { setTimeout as sleep } from 'node:timers/promises';
import { mountDisk } from './disk.ts';
import { type Fault, nothing } from './fault.ts';
import { Ground } from './ground.ts';
import { connectTo } from './session.ts';

export const diskFull: Fault = {
  name: 'disk-full',
  title: 'a disk that fills up under load, until there is room again',
  async run(context) {
    const disk = mountDisk(context.defer);
    if ('skipped' in disk) return { ...nothing, ...disk };
    const ground = await Ground.prepare(context, { place: disk.folder });
    for (let round = 0; round < (context.small ? 1 : 2); round += 1) {
      const load = ground.load();
      await load.acknowledges(20);
      ground.say('filling the disk');
      disk.fillUp(256 * 1024);
      await untilRefusedAndLost(ground);
      ground.say('making room');
      disk.makeRoom();
      const roomAt = Date.now();
      await revive(ground);
      await load.acknowledges(1);
      ground.recoveries.push((Date.now() - roomAt) / 1000);
      await load.acknowledges(context.small ? 30 : 300);
      await load.stop();
      if (!(await ground.examine())) break;
    }
    return ground.result();
  },
};

/**
 * If a table can't grow, a call fails; if a WAL segment can't be created, the server ends. The load would
 * fill its present segment (16 MB) in time; switching to the next one is faster.
 */
async function untilRefusedAndLost(ground: Ground): Promise<void> {
  const { failedAttempts: failed, lostAnswers: lost } = ground.journal.figures();
  const now = () => ground.journal.figures();
  while (now().failedAttempts === failed && now().lostAnswers === lost) await sleep(5);
  while (now().lostAnswers === lost) {
    const client = await connectTo(ground.url).catch(() => undefined);
    await client?.query('select pg_switch_wal()').catch(() => {});
    await client?.end().catch(() => {});
  }
}

/** The server panicked: it may come up by itself, or have given up and need to be started. */
async function revive({ server, url }: Ground): Promise<void> {
  for (;;) {
    await server.restart();
    const client = await connectTo(url).catch(() => undefined);
    if (client) return client.end();
    await sleep(20);
  }
}
