import type pg from 'pg';

/** What a call costs where much lies around it: in all, or beside the same call where little does. */
export interface Question {
  what: string;
  ms: number[];
  /** The same call with little around it; without it, the goal is of the milliseconds themselves. */
  beside?: { what: string; ms: number[] };
  goal: number;
}

export interface Ground {
  client: pg.Client;
  /** Runs a file of SQL beside this folder. */
  load(name: string): Promise<unknown>;
  /** A number of rows as it should be, or a hundredth of it in a quick run. */
  size(rows: number): number;
  rounds: number;
  say(what: string): void;
}

/** Questions that share a database. */
export interface Group {
  id: string;
  measure(ground: Ground): Promise<Question[]>;
}

/** Times a statement, after once that is not counted; $1 is a text that is new each time. */
export async function time(
  { client, rounds, say }: Ground,
  what: string,
  text: string,
  warmUps = 1,
): Promise<number[]> {
  const found: number[] = [];
  const values = text.includes('$1') ? (i: number) => [`${what} ${i}`] : () => [];
  for (let i = -warmUps; i < rounds; i += 1) {
    say(what);
    const begun = performance.now();
    await client.query(text, values(i));
    if (i >= 0) found.push(performance.now() - begun);
  }
  return found;
}

/** Times the same call on two accounts in turn: the one with much around it, and the other. */
export async function compare(
  ground: Ground,
  [what, beside]: [string, string],
  [much, little]: [string, string],
  call: (account: string) => string,
  goal = 1.2,
): Promise<Question> {
  // A call in a loop, because one alone is shorter than its way to the server.
  const calls = ground.rounds * 20;
  const many = { ...ground, rounds: calls };
  const ms = await time(many, what, call(much), 10);
  const others = await time(many, `${what}: ${beside}`, call(little), 10);
  return { what, ms, beside: { what: beside, ms: others }, goal };
}
