import type pg from 'pg';
import { connect } from '../../scripts/postgres/connect.ts';
import { type Driver, type Outcome, type Run, rampUp } from './driver.ts';
import { draw, readScript, type Script, type Variables } from './pgbench-script.ts';

export const nodeDriver: Driver = { name: `Node ${process.versions.node}, pg`, run };

async function run({ url, script: file, variables, clients, seconds, signal }: Run) {
  const script = readScript(file);
  const opened = await Promise.allSettled(
    Array.from({ length: clients }, () => connect({ connectionString: url })),
  );
  const open = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  try {
    for (const each of opened) if (each.status === 'rejected') throw each.reason;
    return await drive(open, seconds, signal, (client) => transact(client, script, variables));
  } finally {
    await Promise.allSettled(open.map((client) => client.end()));
  }
}

async function drive(
  clients: pg.Client[],
  seconds: number,
  signal: AbortSignal,
  once: (client: pg.Client) => Promise<void>,
): Promise<Outcome> {
  const from = performance.now() + Math.min(rampUp(clients.length), seconds) * 1000;
  const until = from + seconds * 1000;
  let [transactions, measured] = [0, 0];
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < until) {
        signal.throwIfAborted();
        await once(client);
        transactions += 1;
        if (performance.now() >= from) measured += 1;
      }
    }),
  );
  return { transactions, perSecond: (measured * 1000) / (performance.now() - from) };
}

/** Prepared once per session, as pgbench does with -M prepared. */
async function transact(client: pg.Client, script: Script, given: Variables): Promise<void> {
  const variables = draw(script, given);
  for (const [i, { text, names, isKept }] of script.statements.entries()) {
    const values = names.map((name) => variables[name]);
    const { rows } = await client.query({ name: `statement ${i}`, text, values });
    if (isKept) Object.assign(variables, rows[0]);
  }
}
