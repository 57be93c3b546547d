import { startProxy } from '../postgres/proxy.ts';
import { randomNumbers } from '../random.ts';
import type { Fault } from './fault.ts';
import { Ground } from './ground.ts';

export const cut: Fault = {
  name: 'cut',
  title: 'connections that break after a call or its commit was sent, before the answer came',
  async run(context) {
    const random = randomNumbers(context.seed);
    const ground = await Ground.prepare(context);
    // This piece ends a call or a commit: the server has done it, and its caller will not know.
    const isAnswer = (piece: Buffer) => /SELECT 1\0|COMMIT\0/.test(piece.toString('latin1'));
    const proxy = await startProxy(ground.url, {
      breakBefore: (piece) => isAnswer(piece) && random.below(8) === 0,
    });
    context.defer(() => proxy.close());
    for (let round = 0; round < (context.small ? 2 : 5); round += 1) {
      const load = ground.load({ url: () => proxy.url });
      for (let breaks = 0; breaks < 5; breaks += 1) {
        await load.acknowledges(context.small ? 20 : 200);
        ground.say('breaking all connections');
        proxy.breakAll(); // even those whose call is still on its way
      }
      await load.stop();
      if (!(await ground.examine())) break;
    }
    return ground.result();
  },
};
