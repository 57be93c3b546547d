import { randomInt } from 'node:crypto';

export { randomNumbers } from '../../tools/random.ts';

/** Of the numbers that a test draws: PG_CREDITS_TEST_SEED, or the test's own, or another each time. */
export const seed = (own: number = randomInt(1_000_000)): number =>
  Number(process.env.PG_CREDITS_TEST_SEED ?? own);
