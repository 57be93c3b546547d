import { setTimeout as sleep } from 'node:timers/promises';
import { randomNumbers } from '../random.ts';
import { crash } from './crash.ts';
import type { Fault } from './fault.ts';
import { Ground } from './ground.ts';

export const kill: Fault = {
  name: 'kill',
  title: 'kill -9 of the server, with all of its processes, under load',
  async run(context) {
    const random = randomNumbers(context.seed);
    const ground = await Ground.prepare(context);
    for (let round = 0; round < (context.small ? 2 : 20); round += 1) {
      const load = ground.load();
      await load.acknowledges(50 + random.below(context.small ? 100 : 500));
      await sleep(random.below(20)); // not always just after an answer
      ground.say('killing the server');
      await crash(ground.server);
      const killed = Date.now();
      await ground.server.restart();
      await load.acknowledges(1);
      ground.recoveries.push((Date.now() - killed) / 1000);
      await load.acknowledges(20);
      await load.stop();
      if (!(await ground.examine())) break;
    }
    return ground.result();
  },
};
