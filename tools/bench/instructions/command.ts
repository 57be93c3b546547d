import { parseArgs } from 'node:util';
import { UsageError } from '../../../scripts/shell/explain.ts';
import { formatTable, toJson } from '../../../scripts/shell/format.ts';
import { startProgress } from '../progress.ts';
import { type Cell, cells, isCell, titles } from './cells.ts';
import { countCells } from './count.ts';
import { prepareGround } from './ground.ts';
import { readMachine } from './machine.ts';

export const help = `npm run bench -- instructions: instructions of a whole server per call, the same on every machine

It counts with valgrind's callgrind, on x86_64 Linux, in a database of its own (3 minutes on two cores).

  --cells LIST     some of: ${cells.join(', ')}
  --server SERVER  the major version of an embedded Postgres, or the folder above another's bin/ (18)
  --root FOLDER    another checkout of pg-credits, to compare with
  --json           print JSON
  -h, --help       show this text`;

/** Counts, and prints a line for each kind of call. */
export async function countInstructions(args: string[], signal: AbortSignal): Promise<void> {
  const { chosen, server, root, json, isHelp } = optionsOf(args);
  if (isHelp) return console.log(help);
  const machine = await readMachine();
  const progress = startProgress();
  progress.say('filling a database');
  const ground = await prepareGround({ server, root });
  try {
    const say = (left: Cell[]) => progress.say(`counting: ${left.join(', ')}`);
    const found = await countCells({ ground, cells: chosen, jobs: 2, progress: say, signal });
    progress.wipe();
    if (json)
      return console.log(toJson({ server: ground.server, ...machine, instructions: found }));
    const rows = chosen.map((cell) => [titles[cell], ((found[cell] ?? 0) / 1000).toFixed(1)]);
    const lines = formatTable(['call', 'thousand instructions'], rows, ['left', 'right']);
    console.log([...lines, '', ground.server].join('\n'));
  } finally {
    progress.wipe();
    await ground.close();
  }
}

function optionsOf(args: string[]) {
  const options = {
    cells: { type: 'string' },
    server: { type: 'string' },
    root: { type: 'string' },
    json: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  try {
    const { values } = parseArgs({ args, options });
    const chosen = (values.cells?.split(',') ?? [...cells]).map((word) => known(word.trim()));
    const { server, root, json = false, help: isHelp = false } = values;
    return { chosen, server, root, json, isHelp };
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError((error as Error).message);
  }
}

function known(word: string): Cell {
  if (isCell(word)) return word;
  throw new UsageError(`--cells knows ${cells.join(', ')}: ${word}`);
}
