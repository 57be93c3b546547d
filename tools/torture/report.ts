import { formatTable, plural } from '../../scripts/shell/format.ts';
import type { Report } from './fault.ts';

const shown = 20;

/** The figures of one fault, and what it broke, for people. */
export function describe(report: Report): string[] {
  const { skipped, rounds, totals, recoveries, findings, seconds } = report;
  if (skipped !== undefined) return [`  skipped: ${skipped}`];
  const lines = [
    `  ${plural(BigInt(rounds), 'round')}, ${totals.calls} calls: ${totals.acknowledged} acknowledged, ${totals.refused} refused`,
    `  ${totals.lostAnswers} answers lost, ${totals.failedAttempts} attempts failed; of ${totals.retried} calls retried after a lost answer, the first attempt had taken effect for ${totals.foundCommitted} and not for ${totals.foundNotCommitted}`,
  ];
  const worst = recoveries.toSorted((a, b) => a - b);
  if (worst.length > 0)
    lines.push(
      `  from restart to the first answer: ${format(worst[worst.length >> 1])} s (median), ${format(worst.at(-1))} s (longest)`,
    );
  if (findings.length === 0)
    return [...lines, `  nothing lost, nothing twice (${format(seconds)} s)`];
  const rows = findings
    .slice(0, shown)
    .map((each) => [each.check, each.account_id ?? '-', each.subject, each.expected, each.actual]);
  const more = findings.length > shown ? [`… and ${findings.length - shown} more`] : [];
  return [
    ...lines,
    ...formatTable(['check', 'account', 'subject', 'expected', 'actual'], rows),
    ...more,
  ];
}

const format = (seconds = 0) => seconds.toFixed(1);

export function conclusion(reports: Report[], seed: number): string {
  const broken = reports.filter(({ findings }) => findings.length > 0);
  if (broken.length > 0)
    return `broken by ${broken.map(({ name }) => name).join(', ')}: try again with --seed ${seed}`;
  const done = reports.filter(({ skipped }) => skipped === undefined);
  if (done.length === 0) return 'nothing was tried: all was skipped';
  const sum = (of: 'acknowledged' | 'lostAnswers') =>
    done.reduce((total, { totals }) => total + totals[of], 0);
  return `nothing was lost: ${sum('acknowledged')} acknowledged calls, ${sum('lostAnswers')} lost answers, ${done.length} of ${reports.length} faults`;
}
