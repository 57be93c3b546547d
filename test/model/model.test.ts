// Random histories, played to the database and to the model, must leave the same books after each
// step. A failure says its seed and path, and the shortest history that shows it. To play it again:
//   PG_CREDITS_TEST_SEED=… PG_CREDITS_TEST_PATH=… npx vitest run test/model/model.test.ts
import fc from 'fast-check';
import { test } from 'vitest';
import { useDatabase } from '../support/database.ts';
import { modelRuns as numRuns, modelPath as path, seed } from '../support/variables.ts';
import { agreement, connect } from './agreement.ts';

const db = useDatabase();
const most = 60_000 + numRuns * 2_000;

test(
  `the database and the model agree on ${numRuns} histories`,
  async () => {
    await fc.assert(agreement(db, await connect(db), 60), {
      numRuns,
      ...(seed && { seed: Number(seed) }),
      ...(path && { path }),
      // This also holds while a failure is shortened. A history that was not played counts as a
      // failure.
      interruptAfterTimeLimit: most,
      markInterruptAsFailure: true,
    });
  },
  most + 60_000,
);
