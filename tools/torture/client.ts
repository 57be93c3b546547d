/** Callers in a process of their own, to be killed: they print each call and each answer. */
import type { Answer, Call } from './calls.ts';
import { type Entry, Journal } from './journal.ts';
import { startLoad } from './load.ts';

export type Line =
  | { asked: Call }
  | { answered: number; answers: Answer[] }
  | { refused: number; code: string };

// A pipe is written at once, before the call is sent, so every acknowledged call was printed.
const tell = (line: Line) => process.stdout.write(`${JSON.stringify(line)}\n`);

class SpokenJournal extends Journal {
  override ask(call: Call): Entry {
    tell({ asked: call });
    return super.ask(call);
  }

  override answer(entry: Entry, answers: Answer[]): void {
    tell({ answered: this.entries.indexOf(entry), answers });
    super.answer(entry, answers);
  }

  override refuse(entry: Entry, code: string): void {
    tell({ refused: this.entries.indexOf(entry), code });
    super.refuse(entry, code);
  }
}

const [url = '', prefix, seed] = process.argv.slice(2);
startLoad({ url: () => url, journal: new SpokenJournal(prefix), callers: 8, seed: Number(seed) });
