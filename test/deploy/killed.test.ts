import { expect, inject, test } from 'vitest';
import { deployKilled } from '../../tools/torture/deploy-killed.ts';
import { seedOf } from '../support/random.ts';
import { killedSteps } from '../support/variables.ts';

// A failure names the seed that it had.
const seed = seedOf();
const steps = killedSteps === 'all' ? killedSteps : Number(killedSteps);

test('a deploy that is killed has changed nothing or is done, and the next one works', async () => {
  const figures = await deployKilled({ steps, seed, log: () => {}, major: inject('major') });
  console.log(`killed deploys, seed ${seed}: ${JSON.stringify(figures)}`);
  expect(figures.killed).toBeGreaterThan(0);
}, 600_000);
