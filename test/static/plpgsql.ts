import { loadModule, type Node, parsePlPgSQLSync, parseSync, scanSync } from 'libpg-query';
import { objects } from './tree.ts';

await loadModule();

/** A function's body in PL/pgSQL. */
export interface Body {
  /** Every statement and expression, each as a statement of SQL. */
  statements: Node[];
  variables: string[];
  /** Which variables are texts, and which are other names of parameters. */
  texts: string[];
  /** Whether it executes text. */
  isDynamic: boolean;
}

/** Of a `create function` statement and the body in it. */
export function readBody(statement: string, source: string): Body {
  const nodes = objects(parsePlPgSQLSync(statement));
  const parts = new Set([
    ...nodes.flatMap(asStatement),
    ...initialValues(source),
    ...nodes.flatMap(({ typname }) =>
      typeof typname === 'string' ? [`select null::${typname.replace(/%\w+$/, '')}`] : [],
    ),
  ]);
  return {
    statements: [...parts].flatMap(statementsOf),
    variables: [...new Set(nodes.flatMap(declared))],
    texts: [...nodes.filter(isText).flatMap(declared), ...nodes.flatMap(aliases)],
    isDynamic: nodes.some((node) =>
      ['PLpgSQL_stmt_dynexecute', 'PLpgSQL_stmt_dynfors', 'dynquery'].some((key) => key in node),
    ),
  };
}

export const statementsOf = (sql: string) =>
  (parseSync(sql).stmts ?? []).flatMap(({ stmt }) => stmt ?? []);

// A parse mode says what the text is: 0 a statement, 2 an expression, from 3 on an assignment.
function asStatement({ query, parseMode }: Record<string, unknown>): string[] {
  if (typeof query !== 'string') return [];
  if (parseMode === 0) return [query];
  return [`select ${parseMode === 2 ? query : query.replace(/\s*:?=/, ',')}`];
}

/** libpg-query leaves out the initial value of a record: here they are from the text, all of them. */
function initialValues(source: string): string[] {
  const bytes = Buffer.from(source);
  const values: string[] = [];
  let declaring = false;
  let from: number | undefined;
  for (const { text, start, end } of scanSync(source).tokens) {
    const word = text.toLowerCase();
    if (word === 'declare' || word === 'begin') declaring = word === 'declare';
    if (!declaring) continue;
    if ([':=', '=', 'default'].includes(word)) from ??= end;
    if (word !== ';' || from === undefined) continue;
    values.push(`select ${bytes.subarray(from, start).toString().trim()}`);
    from = undefined;
  }
  return values;
}

// Parameters, and what PL/pgSQL brings itself, are without a line, but for these.
function declared({ refname, lineno }: Record<string, unknown>): string[] {
  if (typeof refname !== 'string' || lineno === undefined) return [];
  return /^(\W|__|sqlstate$|sqlerrm$)/.test(refname) ? [] : [refname];
}

const isText = ({ datatype }: Record<string, unknown>) =>
  objects(datatype).some(({ typname }) => /^(text|char|name)/.test(String(typname)));

const aliases = ({ PLpgSQL_alias: alias }: Record<string, unknown>): string[] =>
  objects(alias).map(({ name }) => String(name));
