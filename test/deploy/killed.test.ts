import { expect, inject, test } from 'vitest';
import { deployKilled } from '../../tools/torture/deploy-killed.ts';

// A failure names the seed that it had.
const seed = Number(process.env.PG_CREDITS_SEED ?? Date.now() % 1_000_000);
const given = process.env.PG_CREDITS_STEPS ?? '1';
const steps = given === 'all' ? given : Number(given);

test('a deploy that is killed has changed nothing or is done, and the next one works', async () => {
  const figures = await deployKilled({ steps, seed, log: () => {}, major: inject('major') });
  console.log(`killed deploys, seed ${seed}: ${JSON.stringify(figures)}`);
  expect(figures.killed).toBeGreaterThan(0);
}, 600_000);
