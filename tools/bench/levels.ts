import type pg from 'pg';
import { connect } from '../../scripts/postgres/connect.ts';
import { Failure } from '../../scripts/shell/explain.ts';
import { bytesPerDeduction } from './bytes.ts';
import { scriptFile } from './cells.ts';
import { checkDiscrepancies } from './database.ts';
import { calls, type Grown, goalsOfLevels, type Levels } from './levels-report.ts';
import { checkRoom, levelsOf, loadLevel } from './load.ts';
import { rotated, secondsFor } from './measure.ts';
import type { Setting } from './setting.ts';

interface Database extends Grown {
  url: string;
  client: pg.Client;
  deductions: number;
}

/** How cost grows with the ledger, and with the grants of an account. */
export async function measureLevels(setting: Setting): Promise<Levels> {
  const { scratch, options, progress } = setting;
  const databases: Database[] = [];
  const plan = levelsOf(options);
  try {
    await checkRoom(scratch.admin, plan);
    for (const level of plan) {
      progress.say(`loading ${level.title}`);
      const url = await scratch.create();
      const client = await connect({ connectionString: url });
      const microseconds = Object.fromEntries(calls.map((call) => [call, [] as number[]]));
      databases.push({ ...level, url, client, microseconds, deductions: 0 });
      await loadLevel(client, level);
    }
    await measureInTurns(databases, setting);
    progress.say('comparing every figure with the ledger');
    for (const { client, count } of databases)
      if (count <= 1_000_000) await checkDiscrepancies(client);
    progress.say('measuring bytes per deduction');
    const [{ client, accounts }] = databases as [Database];
    const bytes = await bytesPerDeduction(client, accounts, Math.min(100_000, options.entries));
    const levels = databases.map(({ url, client, deductions, ...level }) => level);
    return { goals: goalsOfLevels(levels, bytes), levels, bytes };
  } finally {
    for (const { client } of databases) await client.end().catch(() => {});
  }
}

async function measureInTurns(databases: Database[], setting: Setting): Promise<void> {
  const { driver, progress, signal } = setting;
  const { rounds, seconds: usual } = setting.options;
  const before = await Promise.all(databases.map(countDeductions));
  for (let round = 0; round <= rounds; round += 1) {
    const left = (rounds + 1 - round) / (rounds + 1);
    progress.expect(secondsFor(rounds, usual, 1) * databases.length * calls.length * left);
    const seconds = round === 0 ? Math.min(1, usual) : usual;
    for (const call of calls)
      for (const database of rotated(databases, round)) {
        const { url, accounts, title, microseconds } = database;
        progress.say(`${call} with ${title}: ${round === 0 ? 'warm-up' : `round ${round}`}`);
        const script = scriptFile(`${call}.sql`);
        const run = { url, script, variables: { accounts }, clients: 1, seconds, signal };
        const { transactions, perSecond } = await driver.run(run);
        if (call === 'deduct') database.deductions += transactions;
        if (round > 0) microseconds[call]?.push(1e6 / perSecond);
      }
  }
  const after = await Promise.all(databases.map(countDeductions));
  databases.forEach(({ title, deductions }, i) => {
    const booked = (after[i] ?? 0) - (before[i] ?? 0);
    if (booked !== deductions || deductions === 0)
      throw new Failure(`${title}: ${deductions} deductions reported, but ${booked} booked`);
  });
}

async function countDeductions({ client }: Database): Promise<number> {
  const { rows } = await client.query(
    `select count(*) as count from credits.entries where kind = 'deduction'`,
  );
  return Number(rows[0].count);
}
