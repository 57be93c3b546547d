import { plural } from '../../shell/format.ts';
import type { Mapping } from '../mapping/mapping.ts';
import type { CutoverReport } from './cutover.ts';
import { describeHomeless } from './newcomers.ts';
import type { RollbackReport } from './rollback.ts';

export function describePlan(report: CutoverReport): string[] {
  const comments = [
    ...describeRest(
      report,
      'a rollback will be possible, unless a constraint or a trigger of yours refuses it: cutover tries that',
    ),
    'one transaction: these tables are locked, compared, and the shadow is removed; then:',
  ];
  return [...comments.map((line) => `-- ${line}`), ...report.statements.map((each) => `${each};`)];
}

export function describeCutover(report: CutoverReport): string[] {
  return [...describeRest(report), `cut over at ${report.since}: ${report.replaced.join(', ')}`];
}

const describeRest = (
  { left, notes, one_way }: CutoverReport,
  wayBack = 'a rollback will be possible',
) => [
  ...left.map((line) => `left alone: ${line}`),
  ...notes.map((line) => `note: ${line}`),
  ...(one_way.length > 0
    ? one_way.map((line) => `a rollback will be impossible: ${line}`)
    : [wayBack]),
];

export function describeRollback(mapping: Mapping, report: RollbackReport): string[] {
  const { since, restored, transactions, figures, homeless } = report;
  const more = homeless.length - 20;
  return [
    ...homeless.slice(0, 20).map((account) => describeHomeless(mapping, account)),
    ...(more > 0 ? [`… and ${more} more, which --json lists`] : []),
    `${plural(BigInt(transactions), 'transaction')} since ${since} written back, figures set in ${plural(BigInt(figures), 'row')}`,
    `rolled back: ${restored.join(', ')}; the shadow is on`,
  ];
}
