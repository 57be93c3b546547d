import { randomNumbers } from '../random.ts';
import { crash } from './crash.ts';
import type { Fault } from './fault.ts';
import { Ground } from './ground.ts';
import { connectTo } from './session.ts';
import { makeSynchronous, startStandby } from './standby.ts';

export const failover: Fault = {
  name: 'failover',
  title: 'kill -9 of the primary under load, and its synchronous standby promoted',
  async run(context) {
    const random = randomNumbers(context.seed);
    const ground = await Ground.prepare(context, { settings: { wal_keep_size: '1GB' } });
    for (let round = 0; round < (context.small ? 1 : 3); round += 1) {
      const load = ground.load();
      const primary = ground.server;
      ground.say('making a standby');
      const standby = await startStandby(primary, context);
      await makeSynchronous(primary, round % 2 === 0 ? 'on' : 'remote_apply');
      await load.acknowledges(50 + random.below(context.small ? 50 : 500));
      ground.say('killing the primary, promoting the standby');
      await crash(primary);
      const promotedAt = Date.now();
      await promote(standby.url);
      ground.server = standby; // where the callers go from now on
      await load.acknowledges(1);
      ground.recoveries.push((Date.now() - promotedAt) / 1000);
      await load.acknowledges(20);
      await load.stop();
      await primary.stop();
      if (!(await ground.examine())) break;
    }
    return ground.result();
  },
};

async function promote(url: string): Promise<void> {
  const client = await connectTo(url);
  const { rows } = await client.query('select pg_promote() as promoted');
  await client.end();
  if (!rows[0].promoted) throw new Error('the standby was not promoted');
}
