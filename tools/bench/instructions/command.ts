import { Failure, UsageError } from '../../../scripts/shell/explain.ts';
import { formatTable, toJson } from '../../../scripts/shell/format.ts';
import { parseOptions } from '../../../scripts/shell/options.ts';
import { startProgress } from '../../progress.ts';
import { type Cell, cells, isCell, titles } from './cells.ts';
import { countCells, type Figures } from './count.ts';
import { prepareGround } from './ground.ts';
import { type Machine, readMachine } from './machine.ts';
import {
  type Comparison,
  compareFigures,
  conclude,
  readCommitted,
  writeCommitted,
} from './ratchet.ts';

export const help = `npm run bench -- instructions: instructions of a whole server per call, the same on every machine

It counts with valgrind's callgrind, on x86_64 Linux, in a database of its own (3 minutes on two cores).

  --cells LIST     some of: ${cells.join(', ')}
  --server SERVER  the major version of an embedded Postgres, or the folder above another's bin/ (18)
  --root FOLDER    another checkout of pg-credits, to compare with
  --check          fail if a call takes more than 3 % above its committed figure (tools/bench/instructions/figures.json);
                   exit status 77 if instructions can't be counted here
  --write          record the figures that are counted now: they become the bound
  --json           print JSON
  -h, --help       show this text`;

/** Counts, and prints a line for each kind of call. Returns the exit status. */
export async function countInstructions(args: string[], signal: AbortSignal): Promise<number> {
  const { chosen, server, root, mode, isHelp } = optionsOf(args);
  if (isHelp) {
    console.log(help);
    return 0;
  }
  const machine = await readMachine().catch((error) => {
    if (mode !== 'check') throw error;
    console.log(`skipped: ${(error as Error).message}`);
  });
  if (!machine) return 77;
  const progress = startProgress();
  progress.say('filling a database');
  const ground = await prepareGround({ server, root });
  try {
    const say = (left: Cell[]) => progress.say(`counting: ${left.join(', ')}`);
    const found = await countCells({ ground, cells: chosen, jobs: 2, progress: say, signal });
    progress.wipe();
    return report(mode, { server: versionOf(ground.server), ...machine, instructions: found });
  } finally {
    progress.wipe();
    await ground.close();
  }
}

const versionOf = (server: string) => /^PostgreSQL \S+/.exec(server)?.[0] ?? server;

type Mode = 'print' | 'json' | 'check' | 'write';

function report(mode: Mode, counted: Machine & { server: string; instructions: Figures }): number {
  if (mode === 'json') {
    console.log(toJson(counted));
    return 0;
  }
  const committed = readCommitted();
  const compared = compareFigures(committed.instructions, counted.instructions);
  const isSame = committed.server === counted.server;
  const headings = ['call', 'thousand instructions', 'committed', 'change'];
  const rows = compared.map((each) => rowOf(each, isSame));
  console.log(formatTable(headings, rows, ['left', 'right', 'right', 'right']).join('\n'));
  console.log(`\n${counted.server}`);
  if (mode === 'write') writeCommitted(counted);
  if (mode !== 'check') return 0;
  if (!isSame)
    throw new Failure(
      `the committed figures are of ${committed.server}, these are of ${counted.server}`,
    );
  console.log(conclude(compared).join('\n'));
  return compared.some(({ isTooHigh }) => isTooHigh) ? 1 : 0;
}

const thousands = (figure: number | undefined) =>
  figure === undefined ? '-' : (figure / 1000).toFixed(1);

function rowOf({ cell, found, committed, change }: Comparison, isSame: boolean): string[] {
  if (!isSame) return [titles[cell], thousands(found), '-', '-'];
  const percent = change === undefined ? '-' : `${(100 * change).toFixed(1)} %`;
  return [titles[cell], thousands(found), thousands(committed), percent];
}

function optionsOf(args: string[]) {
  const { values } = parseOptions(args, {
    cells: { type: 'string' },
    server: { type: 'string' },
    root: { type: 'string' },
    json: { type: 'boolean' },
    check: { type: 'boolean' },
    write: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  });
  const chosen = (values.cells?.split(',') ?? [...cells]).map((word) => known(word.trim()));
  const { server, root, help: isHelp = false } = values;
  const modes = (['json', 'check', 'write'] as const).filter((mode) => values[mode]);
  if (modes.length > 1) throw new UsageError(`choose one of --${modes.join(' and --')}`);
  return { chosen, server, root, mode: modes[0] ?? ('print' as const), isHelp };
}

function known(word: string): Cell {
  if (isCell(word)) return word;
  throw new UsageError(`--cells knows ${cells.join(', ')}: ${word}`);
}
