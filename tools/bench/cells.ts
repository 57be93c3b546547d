import { fileURLToPath } from 'node:url';

export interface Contender {
  id: string;
  name: string;
  script: string;
  /** Its name in bench.work, where its rows are counted. */
  work: string;
  /** Deductions per transaction. */
  size: number;
}

/** Contenders that are measured in turns, under the same conditions. */
export interface Cell {
  title: string;
  clients: number;
  /** How many accounts are used: 1 is the hot account. */
  accounts: number;
  latencyMs: number;
  isFlushed: boolean;
  contenders: Contender[];
}

export const scriptFile = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const contender = (id: string, name: string, script: string): Contender => ({
  id,
  name,
  script: scriptFile(script),
  work: name,
  size: 1,
});

const alternatives = [
  contender('floor', 'floor', 'floor.sql'),
  contender('floor-sql', 'floor in SQL', 'floor-sql.sql'),
  contender('hand', 'by hand', 'by-hand.sql'),
  contender('house', 'shared house account', 'shared-house-account.sql'),
  contender('deduct', 'deduct_credits', 'deduct.sql'),
];

const batch = (size: number): Contender => ({
  id: 'batch',
  name: `batch of ${size}`,
  script: scriptFile('batch.sql'),
  work: 'deduct_credits',
  size,
});

export const contenderIds = [...alternatives.map(({ id }) => id), 'batch'];

interface Choice {
  quick: boolean;
  clients: number[] | undefined;
  only: string[] | undefined;
  accounts: number;
}

/** The whole grid or, with `quick`, the cells that the goals need. */
export function chooseCells({ quick, clients, only, accounts }: Choice): Cell[] {
  const chosen = clients ?? [1, 8, 32];
  const usual = chosen.includes(8) ? 8 : (chosen[0] ?? 8);
  const most = Math.max(...chosen);
  const cells: Cell[] = [];
  const add = (ids: string, count: number, changes: Partial<Cell> = {}) => {
    const cell = { accounts, latencyMs: 0, isFlushed: true, ...changes, clients: count };
    const contenders = (changes.contenders ?? alternatives).filter(
      ({ id }) => ids.split(' ').includes(id) && (only ?? [id]).includes(id),
    );
    if (contenders.length > 0) cells.push({ ...cell, title: titleOf(cell), contenders });
  };

  const all = 'floor floor-sql hand house deduct';
  for (const count of quick ? [usual] : chosen) add(all, count);
  if (quick && most !== usual) add('house deduct', most);
  if (!quick) for (const count of chosen) add(all, count, { accounts: 1 });
  add(quick ? 'hand deduct' : all, usual, { latencyMs: 1 });
  for (const count of quick ? [usual] : chosen) add('floor deduct', count, { isFlushed: false });
  const sizes = quick ? [100] : [1, 10, 100, 1000];
  const contenders = [...alternatives, ...sizes.map(batch)];
  if (!only || only.includes('batch')) add('deduct batch', usual, { accounts: 1, contenders });
  return cells;
}

function titleOf({ clients, accounts, latencyMs, isFlushed }: Omit<Cell, 'title' | 'contenders'>) {
  return [
    accounts === 1 ? 'one hot account' : `${accounts.toLocaleString('en')} accounts`,
    `${clients} client${clients === 1 ? '' : 's'}`,
    ...(latencyMs > 0 ? [`${latencyMs} ms away`] : []),
    ...(isFlushed ? [] : ['commits not flushed']),
  ].join(', ');
}
