import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../../../scripts/shell/explain.ts';
import { type Counted, count, scriptOf } from './callgrind.ts';
import type { Cell } from './cells.ts';
import type { Ground } from './ground.ts';
import { type Run, runs } from './runs.ts';

export interface Setting {
  ground: Ground;
  cells: readonly Cell[];
  /** How many servers count at once: it makes no difference to the figures. */
  jobs: number;
  /** Where callgrind's files go, one for each cell. */
  out?: string | undefined;
  progress(left: Cell[]): void;
  signal: AbortSignal;
}

/** Instructions per call. */
export type Figures = Partial<Record<Cell, number>>;

const cellsOf = ({ phases }: Run) => phases.flatMap(({ cell }) => cell ?? []);

/** Counts the cells; the first failure ends all counts. */
export async function countCells(setting: Setting): Promise<Figures> {
  const { cells, jobs, progress } = setting;
  const left = new Set(runs.filter((run) => cellsOf(run).some((cell) => cells.includes(cell))));
  const waiting = [...left];
  const found: Figures = {};
  const failed = new AbortController();
  const signal = AbortSignal.any([setting.signal, failed.signal]);
  const work = async () => {
    for (let run = waiting.shift(); run; run = waiting.shift()) {
      Object.assign(found, await countRun(run, { ...setting, signal }));
      left.delete(run);
      progress([...left].flatMap(cellsOf));
    }
  };
  progress(waiting.flatMap(cellsOf));
  const workers = Array.from({ length: jobs }, () => work().catch((error) => failed.abort(error)));
  await Promise.all(workers);
  signal.throwIfAborted();
  return Object.fromEntries(cells.map((cell) => [cell, found[cell]]));
}

const settings = ['fsync=off', 'jit=off', 'shared_buffers=64MB'].flatMap((each) => ['-c', each]);

const linesOf = (calls: string[]) => calls.flatMap((call) => call.split('\n'));

export function countRun(run: Run, { ground, out, signal }: Setting): Promise<Figures> {
  const warmUp = linesOf(run.warmUp);
  const phases = run.phases.map(({ calls }) => linesOf(calls));
  return ground.withCopy(async (folder, data) => {
    const args = ['--single', '-D', data, ...settings, 'postgres'];
    const script = scriptOf([...run.prepare, ...warmUp], phases);
    const counted = await count(script, { program: ground.program, args, folder, signal });
    checkAnswers(run, warmUp.length + phases.flat().length, counted);
    const figures: Figures = {};
    run.phases.forEach(({ cell, calls }, i) => {
      const phase = counted.phases[i];
      if (!cell || !phase) return;
      figures[cell] = Math.round(phase.instructions / calls.length);
      if (out !== undefined) copyFileSync(phase.profile, join(out, `${cell}.callgrind`));
    });
    return figures;
  });
}

/** Fails if a call did nothing or something else, because it would look cheap. */
function checkAnswers(run: Run, lines: number, { phases, printed }: Counted): void {
  const name = cellsOf(run).join(', ');
  const answers = printed.split(run.answer).length - 1;
  if (answers !== lines * run.rows)
    throw new Failure(
      `${name}: ${lines * run.rows} answers with ${run.answer} were expected, ${answers} came`,
    );
  if (phases.length !== run.phases.length)
    throw new Failure(
      `${name}: callgrind counted ${phases.length} phases of ${run.phases.length}: does the server name its functions?`,
    );
}
