import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '../../scripts/postgres/connect.ts';
import type { Log } from '../../scripts/shell/terminal.ts';
import { startPostgres } from '../postgres/embedded.ts';
import { prepareCallers } from './callers.ts';
import { createScratch, type Place } from './databases.ts';
import { chooseSteps, type Scenario, survey } from './deploy-steps.ts';
import { type Figures, killInTurn } from './kill-in-turn.ts';
import { buildCurrent, deployArguments, findPrevious, unpackPrevious } from './previous.ts';
import { countCommands } from './stopping-deploy.ts';

export interface DeployKilledOptions {
  /** How many steps, besides those that are always included: around the locks, the migrations and the commit. */
  steps: number | 'all';
  seed: number;
  log: Log;
  major?: number;
  /** Called with a function that removes everything made so far, for use on an interrupt. */
  defer?: (cleanup: () => Promise<unknown>) => void;
}

/**
 * Kills deploys, of a fresh install and of an upgrade under load, at their steps. Each leaves the database exactly as
 * it was, or all done; the next deploy succeeds, and no caller gets an error. Throws at the first broken promise.
 */
export async function deployKilled(options: DeployKilledOptions): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), 'pg-credits-killed-'));
  const postgres = await startPostgres(options.major ? { major: options.major } : {});
  const leave = async () => {
    await postgres.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  options.defer?.(leave);
  const server = await connect({ connectionString: postgres.url });
  const place = { server, serverUrl: postgres.url };
  const figures: Figures = { killed: 0, calls: 0, longestMs: 0, overtaken: 0 };
  try {
    const command = buildCurrent(folder);
    let fresh: string | undefined;
    for (const scenario of await prepare(place, folder, options.log)) {
      const surveyed = await survey(place, scenario, command);
      fresh ??= surveyed.snapshot;
      if (surveyed.snapshot !== fresh)
        throw new Error(`${scenario.name}: the schema is not that of a fresh install`);
      const steps = chooseSteps(surveyed, options);
      const ground = { ...place, scenario, command, fresh, log: options.log, seed: options.seed };
      const last = steps.filter(({ stop }) => stop === 'committed');
      for (const part of [steps.filter((step) => !last.includes(step)), last])
        await killInTurn(ground, part, figures);
    }
    return figures;
  } finally {
    await server.end().catch(() => {});
    await leave();
  }
}

/** A database to copy for each scenario: an empty one, and one of the previous version in which callers have credits. */
async function prepare(place: Place, folder: string, log: Log): Promise<Scenario[]> {
  const empty = await createScratch(place);
  await empty.admin.query(countCommands);
  await empty.leave();
  const scenarios: Scenario[] = [{ name: 'fresh install', template: empty.name, isInUse: false }];

  const previous = findPrevious();
  if ('missing' in previous) {
    log(`${previous.missing}: no upgrade is killed`);
    return scenarios;
  }
  const old = await createScratch(place);
  const rolePrefix = 'upgrade_';
  const command = unpackPrevious(previous.ref, folder);
  execFileSync(process.execPath, deployArguments(command, old.url, rolePrefix));
  await prepareCallers(old.url, { rolePrefix });
  await old.admin.query(countCommands);
  await old.leave();
  const name = `upgrade from ${previous.label}`;
  return [...scenarios, { name, template: old.name, isInUse: true, rolePrefix }];
}
