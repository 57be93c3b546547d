import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type CreateFunctionStmt,
  type FunctionParameter,
  type Node,
  parseSync,
  type RangeVar,
} from 'libpg-query';
import { packageRoot } from '../../scripts/package.ts';
import { type Body, readBody, statementsOf } from './plpgsql.ts';
import { dotted, find, option, relationName } from './tree.ts';

export interface Routine extends Body {
  /** With its schema. */
  name: string;
  language: string;
  node: CreateFunctionStmt;
  /** From its first to its last, without the comment before it. */
  lines: number;
  inputs: FunctionParameter[];
}

export interface Source {
  path: string;
  text: string;
  statements: Node[];
  routines: Routine[];
}

export const read = (path: string) => readFileSync(join(packageRoot, path), 'utf8');

export const sqlFiles = (folder: string) =>
  readdirSync(join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.sql'))
    .map((path) => `${folder}/${path}`)
    .sort();

/** The files of migrations/ and sql/. */
export const readSources = (): Source[] =>
  [...sqlFiles('migrations'), ...sqlFiles('sql')].map((path) => {
    try {
      return parseSource(path, read(path));
    } catch (error) {
      throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
    }
  });

export const isMigration = ({ path }: Source) => path.startsWith('migrations/');

export function parseSource(path: string, text: string): Source {
  const bytes = Buffer.from(text); // statements are located by bytes
  const raw = parseSync(text).stmts ?? [];
  const routines = raw.flatMap(({ stmt, stmt_location: from = 0, stmt_len: length }) => {
    if (!stmt || !('CreateFunctionStmt' in stmt)) return [];
    const own = bytes.subarray(from, length === undefined ? undefined : from + length).toString();
    return [readRoutine(stmt.CreateFunctionStmt, own)];
  });
  return { path, text, statements: raw.flatMap(({ stmt }) => stmt ?? []), routines };
}

function readRoutine(node: CreateFunctionStmt, text: string): Routine {
  const source = find(option(node, 'as'), 'String')[0]?.sval ?? '';
  const language = dotted(option(node, 'language')) || 'sql';
  const inputs = find(node.parameters, 'FunctionParameter').filter(
    ({ mode }) => mode !== 'FUNC_PARAM_OUT' && mode !== 'FUNC_PARAM_TABLE',
  );
  const body =
    language === 'plpgsql'
      ? readBody(text, source)
      : {
          variables: [],
          texts: [],
          isDynamic: false,
          statements: [node.sql_body ?? statementsOf(source)].flat(),
        };
  const lines = text
    .slice(text.search(/^create /m))
    .trimEnd()
    .split('\n').length;
  return { name: dotted(node.funcname), language, node, lines, inputs, ...body };
}

/** The names of what the sources create, with their schemas. */
export function definitions(sources: Source[]) {
  const statements = sources.flatMap((source) => source.statements);
  const functions = find(statements, 'CreateFunctionStmt').map((s) => dotted(s.funcname));
  const names = (relations: (RangeVar | undefined)[]) =>
    relations.flatMap((relation) => (relation ? relationName(relation) : []));
  const tables = names([
    ...find(statements, 'CreateStmt').map(({ relation }) => relation),
    ...find(statements, 'ViewStmt').map(({ view }) => view),
  ]);
  const types = names(find(statements, 'CompositeTypeStmt').map(({ typevar }) => typevar));
  return {
    functions: new Set(functions),
    relations: new Set([...tables, ...types]),
    /** And views: whatever has rows. */
    tables: new Set(tables),
  };
}

/** Every statement of a file, those of its functions' bodies too, with where it stands. */
export const statementsIn = ({ path, statements, routines }: Source) => [
  ...statements.map((node) => ({ where: path, node })),
  ...routines.flatMap((routine) =>
    routine.statements.map((node) => ({ where: `${path}: ${routine.name}`, node })),
  ),
];
