import { expect, test } from 'vitest';
import { type Report, runFault } from '../../tools/torture/fault.ts';
import { faults } from '../../tools/torture/faults.ts';
import { seedOf } from '../support/random.ts';
import { embeddedMajor } from '../support/variables.ts';

const seed = seedOf();

/** What shows that the fault was one. */
const struck: Record<string, (report: Report) => unknown> = {
  kill: ({ totals, recoveries }) => totals.lostAnswers > 0 && recoveries.length === 2,
  'kill-client': ({ totals }) => totals.lostAnswers > 0,
  cut: ({ totals }) => totals.foundCommitted > 0,
  interrupt: ({ totals }) => totals.failedAttempts > 0,
  'disk-full': ({ totals }) => totals.failedAttempts > 0 && totals.lostAnswers > 0,
  failover: ({ totals, recoveries }) => totals.lostAnswers > 0 && recoveries.length === 1,
};

// In a small size: a few seconds each on a machine that is not busy with others; `npm run torture`
// takes its time. Each has a durable server of its own.
const timeout = 180_000;
for (const fault of faults) {
  const title = `${fault.name}: nothing is lost, nothing is there twice (seed ${seed})`;
  test(title, { timeout }, async ({ skip }) => {
    const report = await runFault(fault, { seed, small: true, major: embeddedMajor, say: () => {} })
      .report;
    skip(report.skipped !== undefined, report.skipped);
    expect(report.findings).toEqual([]);
    expect(struck[fault.name]?.(report), JSON.stringify(report.totals)).toBe(true);
  });
}
