import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { randomNumbers } from '../random.ts';
import type { Line } from './client.ts';
import type { Context, Fault } from './fault.ts';
import { Ground } from './ground.ts';
import type { Entry } from './journal.ts';
import { connectTo, Session, sessionsAreOver } from './session.ts';

export const killClient: Fault = {
  name: 'kill-client',
  title: 'kill -9 of the callers in mid-call; others repeat what has no answer',
  async run(context) {
    const random = randomNumbers(context.seed);
    const ground = await Ground.prepare(context);
    for (let round = 0; round < (context.small ? 2 : 5); round += 1) {
      ground.say('calling from a process of its own, and killing it');
      const unanswered = await callAndDie(
        ground,
        context,
        30 + random.below(context.small ? 30 : 400),
      );
      ground.say(`repeating ${unanswered.length} calls`);
      const repeat = async (entry: Entry) => {
        entry.lost += 1;
        const session = new Session(() => ground.url);
        await session.carryOut(ground.journal, entry);
        await session.end();
      };
      await Promise.all(unanswered.map(repeat));
      if (!(await ground.examine())) break;
    }
    return ground.result();
  },
};

const client = fileURLToPath(new URL('client.ts', import.meta.url));

/** Puts its answers into the journal; returns the calls without an answer. */
async function callAndDie(ground: Ground, context: Context, answers: number): Promise<Entry[]> {
  const args = [ground.url, `client ${ground.rounds} request`, `${context.seed + ground.rounds}`];
  const child = spawn(process.execPath, ['--import', 'tsx', client, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  context.defer(async () => child.kill('SIGKILL'));
  const asked: Entry[] = [];
  let left = answers;
  for await (const text of createInterface({ input: child.stdout })) {
    const line = parse(text);
    if (!line) break; // cut off by the kill: the call was not sent, or its answer is unknown
    if ('asked' in line) {
      asked.push(ground.journal.ask(line.asked));
      continue;
    }
    const entry = asked['answered' in line ? line.answered : line.refused];
    if (!entry) throw new Error(`the client got an answer to what it did not ask: ${text}`);
    if ('answered' in line) ground.journal.answer(entry, line.answers);
    else ground.journal.refuse(entry, line.code);
    left -= 1;
    if (left === 0) child.kill('SIGKILL'); // what it wrote before can still be read
  }
  await closed;
  const connection = await connectTo(ground.url);
  await sessionsAreOver(connection).finally(() => connection.end());
  return asked.filter((entry) => !entry.answers && entry.refusal === undefined);
}

function parse(text: string): Line | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
