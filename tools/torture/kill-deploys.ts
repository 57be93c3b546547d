import { deployKilled } from './deploy-killed.ts';
import { type Fault, nothing } from './fault.ts';

/** Separate from the other faults: it has its own callers, servers and examination. */
export const killDeploys: Fault = {
  name: 'deploy',
  title: 'deploys killed at their steps, of a fresh install and of an upgrade under load',
  async run({ seed, small, major, say, defer }) {
    const { killed, calls } = await deployKilled({
      steps: small ? 1 : 100,
      seed,
      major,
      log: say,
      defer,
    });
    return {
      ...nothing,
      rounds: killed,
      totals: { ...nothing.totals, calls, acknowledged: calls },
    };
  },
};
