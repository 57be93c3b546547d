import { deploy } from '../../scripts/deploy/deploy.ts';
import type { Log } from '../../scripts/shell/terminal.ts';
import { type Called, startCallers } from './callers.ts';
import { createScratch, type Place, type Scratch, snapshotOf } from './databases.ts';
import type { Scenario, Step } from './deploy-steps.ts';
import { expect, killDeploy, ways } from './kill-deploy.ts';

export interface Figures {
  killed: number;
  calls: number;
  longestMs: number;
  /** See callers.ts. */
  overtaken: number;
}

interface Ground extends Place {
  scenario: Scenario;
  command: string;
  /** The snapshot of a fresh install. */
  fresh: string;
  seed: number;
  log: Log;
}

/**
 * Kills deploys to one database, one after the other, and then leaves one alone. A killed deploy leaves every row of
 * the catalogue as it was, so each deploy is also the one after a kill, which must work.
 */
export async function killInTurn(ground: Ground, steps: Step[], figures: Figures): Promise<void> {
  const { scenario, seed, log } = ground;
  const scratch = await createScratch(ground, scenario.template);
  const rolePrefix = scenario.rolePrefix ?? `${scratch.name}_`;
  const options = { count: 2, rolePrefix };
  const callers = scenario.isInUse ? await startCallers(scratch.url, options) : undefined;
  let doing = scenario.name;
  try {
    for (const { label, stop } of steps) {
      const way = ways[(figures.killed + seed) % ways.length] ?? 'SIGKILL';
      doing = `${scenario.name}, ${label}, ${way}`;
      log(doing);
      await callers?.answers(1);
      await killDeploy(scratch, { command: ground.command, rolePrefix, stop, way });
      await callers?.answers(1);
      expect(!callers?.errors.length, `a caller got ${callers?.errors}`);
      figures.killed += 1;
    }
    const isDone = steps.at(-1)?.stop === 'committed';
    if (isDone) await expectFresh(scratch, ground.fresh);
    doing += ', and the deploy after it';
    const { upToDate } = await deploy({ connectionString: scratch.url }, { rolePrefix });
    expect(upToDate === isDone, `the deploy after it found the database up to date: ${upToDate}`);
    await expectFresh(scratch, ground.fresh);
    await callers?.answers(1);
    if (callers) add(figures, await callers.stop());
  } catch (error) {
    throw new Error(`${doing}, seed ${seed}: ${(error as Error).message}`, { cause: error });
  } finally {
    await callers?.stop().catch(() => {});
    await scratch.drop();
  }
}

async function expectFresh(scratch: Scratch, fresh: string): Promise<void> {
  expect((await snapshotOf(scratch)) === fresh, 'the schema is not that of a fresh install');
  const { rows } = await scratch.admin.query('select * from credits.discrepancies');
  expect(rows.length === 0, `discrepancies: ${JSON.stringify(rows)}`);
}

function add(figures: Figures, called: Called): void {
  const { calls, longestMs, overtaken, ...wrong } = called;
  const isFine = Object.values(wrong).every((list) => list.length === 0);
  expect(isFine, JSON.stringify(wrong));
  figures.calls += calls;
  figures.longestMs = Math.max(figures.longestMs, longestMs);
  figures.overtaken += overtaken;
}
