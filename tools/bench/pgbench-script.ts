import { readFileSync } from 'node:fs';

/** One statement of a pgbench script: `$1` is the value of names[0]. */
interface Statement {
  text: string;
  names: string[];
  /** With \gset, the columns of its row become variables. */
  isKept: boolean;
}

export interface Script {
  draws: { name: string; low: string; high: string }[];
  statements: Statement[];
}

/** The part of pgbench's language that our scripts use, so that both drivers send the same. */
export function readScript(file: string): Script {
  const source = readFileSync(file, 'utf8');
  const draws = [...source.matchAll(/^\\set (\w+) random\(:?(\w+), :?(\w+)\)$/gm)].map(
    ([, name = '', low = '', high = '']) => ({ name, low, high }),
  );
  const sql = source.replace(/^\\set .*$/gm, '');
  const statements = [...sql.matchAll(/([^;\\]+)(;|\\gset)/g)].map(([, text = '', end]) => {
    const names: string[] = [];
    const numbered = text.trim().replace(/(?<!:):(\w+)/g, (_, name) => {
      if (!names.includes(name)) names.push(name);
      return `$${names.indexOf(name) + 1}`;
    });
    return { text: numbered, names, isKept: end === '\\gset' };
  });
  return { draws, statements };
}

export type Variables = Record<string, unknown>;

/** The script's variables for one transaction. */
export function draw({ draws }: Script, given: Variables): Variables {
  const variables = { ...given };
  const number = (word: string) => Number(variables[word] ?? word);
  for (const { name, low, high } of draws)
    variables[name] = number(low) + Math.floor(Math.random() * (number(high) - number(low) + 1));
  return variables;
}
