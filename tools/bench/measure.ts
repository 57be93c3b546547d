import type pg from 'pg';
import { Failure } from '../../scripts/shell/explain.ts';
import type { Cell, Contender } from './cells.ts';
import { checkpoint } from './database.ts';
import { type Driver, rampUp } from './driver.ts';

export interface Measured extends Cell {
  /** Deductions per second, a figure per round, by the contender's name. */
  perSecond: Record<string, number[]>;
}

export interface Bench {
  client: pg.Client;
  driver: Driver;
  url: string;
  rounds: number;
  seconds: number;
  signal: AbortSignal;
  progress(what: string): void;
}

type Counts = Record<string, { entries: number; spent: number }>;

/** Runs every contender once per round. Each round begins with the next contender; the first is a warm-up. */
export async function measureCell(bench: Bench, cell: Cell): Promise<Measured> {
  const { client, rounds } = bench;
  const reported: Record<string, number> = {};
  const perSecond = Object.fromEntries(cell.contenders.map(({ name }) => [name, [] as number[]]));
  const before = await work(client);
  await checkpoint(client);
  for (let round = 0; round <= rounds; round += 1) {
    for (const contender of rotated(cell.contenders, round)) {
      bench.progress(`${cell.title}: ${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}`);
      const seconds = round === 0 ? Math.min(1, bench.seconds) : bench.seconds;
      const outcome = await runOnce(bench, cell, contender, seconds);
      const deductions = outcome.transactions * contender.size;
      reported[contender.work] = (reported[contender.work] ?? 0) + deductions;
      if (round === 0) continue;
      perSecond[contender.name]?.push(outcome.perSecond * contender.size);
    }
  }
  checkWork(reported, before, await work(client));
  return { ...cell, perSecond };
}

export const rotated = <T>(all: T[], by: number): T[] => {
  const from = by % all.length;
  return [...all.slice(from), ...all.slice(0, from)];
};

async function runOnce(bench: Bench, cell: Cell, contender: Contender, seconds: number) {
  const { driver, url, signal } = bench;
  const { clients, accounts } = cell;
  const variables = { accounts, size: contender.size };
  return driver.run({ url, script: contender.script, variables, clients, seconds, signal });
}

/** Checks that the database has exactly what was reported, row by row and credit by credit. */
function checkWork(reported: Record<string, number>, before: Counts, after: Counts): void {
  for (const [name, deductions] of Object.entries(reported)) {
    const entries = (after[name]?.entries ?? 0) - (before[name]?.entries ?? 0);
    const spent = (after[name]?.spent ?? 0) - (before[name]?.spent ?? 0);
    if (deductions === 0 || entries !== deductions || spent !== deductions)
      throw new Failure(
        `${name}: ${deductions} deductions reported, but ${entries} entries and ${spent} credits are in its tables`,
      );
  }
}

async function work(client: pg.Client): Promise<Counts> {
  const { rows } = await client.query('select contender, entries, spent from bench.work');
  return Object.fromEntries(
    rows.map(({ contender, entries, spent }) => [
      contender,
      { entries: Number(entries), spent: Number(spent) },
    ]),
  );
}

/** About how long a contender takes in all rounds, including the time to open and close sessions. */
export const secondsFor = (rounds: number, seconds: number, clients: number) =>
  (rounds + 1) * (rampUp(clients) + 0.25) + rounds * seconds + Math.min(1, seconds);
