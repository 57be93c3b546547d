import { setTimeout as sleep } from 'node:timers/promises';
import { randomNumbers } from '../random.ts';
import type { Context, Fault } from './fault.ts';
import { Ground } from './ground.ts';
import { applicationName, connectTo } from './session.ts';

export const interrupt: Fault = {
  name: 'interrupt',
  title:
    'statement_timeout, lock_timeout, pg_cancel_backend, pg_terminate_backend at random moments',
  async run(context) {
    const { below, pick } = randomNumbers(context.seed);
    const ground = await Ground.prepare(context);
    const some = () => pick(0, 1 + below(10), 10 + below(100)); // ms; 0 is none
    const timeouts = () => `set statement_timeout = ${some()}; set lock_timeout = ${some()}`;
    for (let round = 0; round < (context.small ? 2 : 5); round += 1) {
      const load = ground.load({ before: timeouts });
      ground.say('cancelling and terminating');
      const goal = load.acknowledges(context.small ? 60 : 500);
      await interruptUntil(goal, ground.url, context);
      await load.stop();
      if (!(await ground.examine())) break;
    }
    return ground.result();
  },
};

async function interruptUntil(goal: Promise<void>, url: string, { seed }: Context): Promise<void> {
  const { below, pick } = randomNumbers(seed + 1);
  const client = await connectTo(url);
  let going = true;
  const reached = goal.finally(() => {
    going = false;
  });
  reached.catch(() => {}); // awaited below
  while (going) {
    await sleep(below(30));
    await client.query(
      `select ${pick('pg_cancel_backend', 'pg_cancel_backend', 'pg_terminate_backend')}(pid)
       from pg_stat_activity
       where application_name = '${applicationName}' and state <> 'idle' and pid <> pg_backend_pid()
       order by random() limit 1`,
    );
  }
  await client.end();
  await reached;
}
