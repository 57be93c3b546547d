import type pg from 'pg';
import { connect } from '../../scripts/postgres/connect.ts';
import { startProxy } from '../postgres/proxy.ts';
import { type Cell, chooseCells } from './cells.ts';
import { checkDiscrepancies, flushCommits, runSql, vacuum } from './database.ts';
import { measureRoundTrip, type RoundTrip } from './describe.ts';
import { type Goal, goalsOf } from './goals.ts';
import { type Bench, type Measured, measureCell, secondsFor } from './measure.ts';
import type { Setting } from './setting.ts';

export interface Alternatives {
  goals: Goal[];
  cells: Measured[];
  round_trip: RoundTrip;
}

/** pg-credits beside what one would otherwise do. */
export async function measureAlternatives(setting: Setting): Promise<Alternatives> {
  const { scratch, driver, options, progress, signal } = setting;
  const { rounds, seconds } = options;
  const cells = chooseCells(options);
  const planned = (from: number) =>
    cells
      .slice(from)
      .reduce(
        (sum, { contenders, clients }) =>
          sum + contenders.length * secondsFor(rounds, seconds, clients),
        0,
      );
  progress.say(`making ${options.accounts} accounts for each contender`);
  const url = await scratch.create();
  const client = await connect({ connectionString: url });
  try {
    await prepare(client, options.accounts);
    const bench = { client, driver, url, rounds, seconds, signal, progress: progress.say };
    const measured: Measured[] = [];
    for (const [i, cell] of cells.entries()) {
      progress.expect(planned(i));
      measured.push(await underItsConditions(bench, cell));
    }
    progress.say('comparing every figure with the ledger');
    await checkDiscrepancies(client);
    const roundTrip = await measureRoundTrip(url, 1);
    return { goals: goalsOf(measured), cells: measured, round_trip: roundTrip };
  } finally {
    await client.end().catch(() => {});
  }
}

export async function prepare(client: pg.Client, accounts: number): Promise<void> {
  await runSql(client, 'contenders.sql');
  await client.query('call bench.seed($1)', [accounts]);
  await vacuum(client);
}

async function underItsConditions(bench: Bench, cell: Cell): Promise<Measured> {
  await flushCommits(bench.client, cell.isFlushed);
  const proxy = await startProxy(bench.url, { delayMs: cell.latencyMs });
  try {
    const url = cell.latencyMs > 0 ? proxy.url : bench.url;
    return await measureCell({ ...bench, url }, cell);
  } finally {
    await proxy.close();
  }
}
