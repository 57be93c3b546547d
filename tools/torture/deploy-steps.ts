import { createHash } from 'node:crypto';
import { isMigration, readPackage } from '../../scripts/package.ts';
import { createScratch, type Place, snapshotOf } from './databases.ts';
import { commandsCounted, type Stop, startDeploy } from './stopping-deploy.ts';

export interface Scenario {
  name: string;
  /** The database that each deploy gets a copy of. */
  template: string;
  isInUse: boolean;
  /** The prefix of the roles that exist; without one, each deploy makes its own. */
  rolePrefix?: string;
}

/** What an undisturbed deploy asks of the server in its transaction, and its outcome. */
export interface Survey {
  requests: string[];
  /** How many commands change the schema. */
  commands: number;
  snapshot: string;
}

export interface Step {
  label: string;
  stop: Stop;
}

export async function survey(place: Place, scenario: Scenario, command: string): Promise<Survey> {
  const scratch = await createScratch(place, scenario.template);
  try {
    const { url, admin } = scratch;
    const { rolePrefix = 'survey_' } = scenario;
    const { ended, requests, proxy } = await startDeploy({ command, url, rolePrefix, admin });
    const { code, stderr } = await ended;
    await proxy.close();
    if (code !== 0) throw new Error(`${scenario.name}: the deploy failed: ${stderr}`);
    const [commands, snapshot] = [await commandsCounted(admin), await snapshotOf(scratch)];
    return { requests: requests.map((text) => nameOf(text, rolePrefix)), commands, snapshot };
  } finally {
    await scratch.drop();
  }
}

/** Names a request by the file that it sends, or by its first words. */
function nameOf(text: string, rolePrefix: string): string {
  const { migrations, files } = readPackage(undefined, rolePrefix);
  const file = [...migrations, ...files].find((each) => text.includes(each.text.slice(0, 400)));
  return file?.path ?? text.replace(/\s+/g, ' ').trim().slice(0, 60);
}

/** The steps around the locks, the migrations and the commit, and the given number of others, in the deploy's order. */
export function chooseSteps(
  { requests, commands }: Survey,
  { steps, seed }: { steps: number | 'all'; seed: number },
): Step[] {
  const all: Step[] = [
    ...requests.map((name, i) => ({ label: `before ${name}`, stop: { request: i } })),
    ...Array.from({ length: commands }, (_, i) => ({
      label: `within command ${i + 1} of ${commands}`,
      stop: { command: i + 1 },
    })),
    { label: 'after the commit', stop: 'committed' },
  ];
  if (steps === 'all') return all;
  const always = new Set(all.filter(({ stop }) => isBoundary(stop, requests, commands)));
  const rank = ({ label }: Step) => createHash('sha256').update(`${seed} ${label}`).digest('hex');
  const others = all.filter((step) => !always.has(step));
  const chosen = others.sort((a, b) => (rank(a) < rank(b) ? -1 : 1)).slice(0, steps);
  return all.filter((step) => always.has(step) || chosen.includes(step));
}

function isBoundary(stop: Stop, requests: string[], commands: number): boolean {
  if (stop === 'committed') return true;
  if ('command' in stop) return stop.command === 1 || stop.command === commands;
  const [before = '', name = ''] = [requests[stop.request - 1], requests[stop.request]];
  const isLock = (text: string) => /pg_try_advisory_xact_lock|lock table/.test(text);
  return (
    isLock(name) ||
    isLock(before) ||
    name === 'commit' ||
    isMigration(name.replace('migrations/', ''))
  );
}
