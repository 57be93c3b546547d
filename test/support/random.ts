import { randomInt } from 'node:crypto';
import { seed } from './variables.ts';

export { randomNumbers } from '../../tools/random.ts';

/** Of what a test draws: the seed that is asked for, or the test's own, or another each time. */
export const seedOf = (own: number = randomInt(1_000_000)): number => Number(seed ?? own);
