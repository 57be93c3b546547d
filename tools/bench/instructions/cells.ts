/** What is counted, and how a report calls it. */
export const titles = {
  floor: 'floor in PL/pgSQL: one update, one insert',
  'floor-sql': 'the same floor in SQL',
  deduct: 'deduction',
  limit: 'deduction with one limit',
  scoped: 'deduction beside a scoped grant',
  'in-scope': 'deduction from a scoped grant',
  held: 'deduction after a hold',
  hold: 'hold',
  capture: 'capture',
  pair: 'hold + capture',
  refund: 'refund',
  grant: 'grant',
  replay: 'replay of a deduction',
  batch: 'batch of 100 deductions',
} as const;

export type Cell = keyof typeof titles;

export const cells = Object.keys(titles) as Cell[];

export const isCell = (word: string): word is Cell => Object.hasOwn(titles, word);
