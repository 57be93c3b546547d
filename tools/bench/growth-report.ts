import { formatTable } from '../../scripts/shell/format.ts';
import type { Question } from './growth/question.ts';
import type { Growth } from './growth.ts';
import { describeLevels } from './levels-report.ts';
import { figure } from './report.ts';
import { spreadOf } from './statistics.ts';

/** The ratio of the medians, or the median of the milliseconds. */
function measured({ ms, beside }: Question): number {
  const median = spreadOf(ms).median;
  return beside ? median / spreadOf(beside.ms).median : median;
}

const isReached = (question: Question) => measured(question) <= question.goal;

/** One row per question. */
function questionTable(questions: Question[]): string[] {
  const rows = questions.map((question) => {
    const { what, ms, beside, goal } = question;
    return [
      what,
      figure(spreadOf(ms).median),
      beside?.what ?? '',
      beside ? figure(spreadOf(beside.ms).median) : '',
      beside ? figure(measured(question)) : '',
      `at most ${goal.toLocaleString('en')}${beside ? ' times' : ' ms'}`,
      isReached(question) ? 'reached' : 'not reached',
    ];
  });
  const heading = ['', 'ms', 'beside', 'ms', 'ratio', 'goal', ''];
  return formatTable(heading, rows, ['left', 'right', 'left', 'right', 'right', 'left', 'left']);
}

export function describeGrowth({ questions, levels }: Growth): string[] {
  const missed = questions.filter((question) => !isReached(question)).length;
  return [
    ...(questions.length > 0
      ? [...questionTable(questions), `${missed} of ${questions.length} goals are not reached.`, '']
      : []),
    ...(levels ? describeLevels(levels) : []),
  ];
}

/** For programs, with each measurement. */
export const jsonOfGrowth = ({ questions, levels }: Growth) => ({
  questions: questions.map((question) => ({
    ...question,
    measured: measured(question),
    reached: isReached(question),
  })),
  ...levels,
});
