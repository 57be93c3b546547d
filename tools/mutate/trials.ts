import { readFileSync } from 'node:fs';
import type pg from 'pg';
import type { Change } from './changes.ts';

export type Outcome = 'refused' | 'found' | 'unfound' | 'broke';

export interface Trial {
  what: string;
  how: string;
  outcome: Outcome;
  /** The constraint or guard that refused it, the promises that it broke, or the error that the search for them ended with. */
  by: string;
}

export interface Trials {
  trials: Trial[];
  /** Kinds whose changes were all tried. */
  exhausted: Set<string>;
}

export interface TrialsOptions {
  /** How many changes per kind. */
  most: number;
  /** Kinds that are expected to go unfound now and then: more of them are tried, up to this many, until one does. */
  listed: Record<string, string>;
  mostListed: number;
  /** The role that the guards must stop; without it, changes are made behind the guards' back. */
  role?: string | undefined;
  progress(done: number, of: number, what: string): void;
}

/** Makes one change at a time, sees what comes of it, and undoes it. */
export async function tryChanges(
  client: pg.Client,
  changes: Map<string, Change[]>,
  { most, listed, mostListed, role, progress }: TrialsOptions,
): Promise<Trials> {
  const before = await prepare(client);
  const trials: Trial[] = [];
  const exhausted = new Set<string>();
  for (const [what, list] of changes) {
    progress([...changes.keys()].indexOf(what), changes.size, what);
    const own: Trial[] = [];
    const isSeen = () => !(what in listed) || own.some(({ outcome }) => outcome === 'unfound');
    exhausted.add(what);
    for (const { how, statement } of list) {
      if (own.length >= most && (isSeen() || own.length >= mostListed)) {
        exhausted.delete(what);
        break;
      }
      const values = [statement, before, role ?? null];
      const { rows } = await client.query('select pg_temp.try_change($1, $2, $3) as trial', values);
      const { outcome, by } = rows[0].trial;
      if (outcome !== 'none') own.push({ what, how, outcome, by: by ?? '' });
    }
    trials.push(...own);
  }
  return { trials, exhausted };
}

/** What was found before the change: how often each promise is broken for an account. */
async function prepare(client: pg.Client): Promise<unknown> {
  await client.query(readFileSync(new URL('trial.sql', import.meta.url), 'utf8'));
  // The view is long: it is planned once.
  await client.query('set plan_cache_mode = force_generic_plan; set jit = off');
  const { rows } = await client.query(`
    select coalesce(jsonb_object_agg(f.key, f.count), '{}') as before from (
      select account_id || '/' || invariant as key, count(*)
      from credits.discrepancies group by 1) as f`);
  return rows[0].before;
}
