import { Failure } from '../shell/explain.ts';
import type { Difference } from '../snapshot/differences.ts';
import { type Applied, bookkeepingTables } from './bookkeeping.ts';
import type { Survey } from './survey.ts';

/** Refuses objects that somebody else made, before any of them runs. */
export function refuseForeign(differences: Difference[]) {
  const foreign = differences.filter(({ cure }) => cure === 'foreign');
  if (foreign.length === 0) return;
  const [first, second, third] = foreign.map(describeDifference);
  const more = foreign.length > 3 ? ` and ${foreign.length - 3} more` : '';
  const what = [first, second, third].filter((each) => each !== undefined).join('; ');
  throw new Failure(
    `the schemas are not as pg-credits made them (${what}${more}): nothing in them was run, nothing was changed; ` +
      'fix them, or allow what is yours with --allow NAME; pg-credits verify lists everything',
  );
}

/** A survey that a deploy can build on: every object is ours or allowed, and the bookkeeping was read. */
export type Ours = Survey & { applied: Applied };

export function requireOurs(surveyed: Survey): Ours {
  refuseForeign(surveyed.differences);
  const { applied } = surveyed;
  if (applied) return { ...surveyed, applied };
  throw new Failure(
    `${bookkeepingTables.join(' and ')} are not as pg-credits made them, which --allow does not cover: nothing was run, nothing was changed; fix them`,
  );
}

const describeDifference = ({ key, should, is }: Difference) =>
  should === undefined
    ? `${key} is not ours`
    : is === undefined
      ? `${key} is missing`
      : `${key} differs`;
