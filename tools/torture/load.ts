import { setTimeout as sleep } from 'node:timers/promises';
import { randomNumbers } from '../random.ts';
import { type Known, nextCall } from './calls.ts';
import { type Journal, learn } from './journal.ts';
import { Session } from './session.ts';

export interface LoadOptions {
  /** Called at each connect: after a failover, it returns another server. */
  url: () => string;
  journal: Journal;
  callers: number;
  seed: number;
  /** A statement before each call, such as a time-out. */
  before?: () => string;
}

export interface Load {
  /** Resolves when that many more calls have been acknowledged. */
  acknowledges(more: number): Promise<void>;
  /** Each caller finishes its call, however long that takes, and then ends. */
  stop(): Promise<void>;
}

export function startLoad({ url, journal, callers, seed, before }: LoadOptions): Load {
  let going = true;
  let failure: { error: unknown } | undefined;
  const caller = async (number: number) => {
    const random = randomNumbers(seed * 1000 + number);
    const known: Known = { spent: [], holds: [] };
    const session = new Session(url, before);
    while (going) {
      const entry = journal.ask(nextCall(random, known, journal.newKey));
      await session.carryOut(journal, entry);
      learn(known, entry);
    }
    await session.end();
  };
  const running = Promise.all(Array.from({ length: callers }, (_, i) => caller(i)));
  running.catch((error) => {
    failure = { error };
    going = false;
  });
  return {
    async acknowledges(more) {
      const goal = journal.acknowledgements + more;
      while (journal.acknowledgements < goal) {
        if (failure) throw failure.error;
        await sleep(2);
      }
    },
    async stop() {
      going = false;
      await running;
    },
  };
}
