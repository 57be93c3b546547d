import type pg from 'pg';
import { codeOf, explain, Failure, isLostConnection } from '../shell/explain.ts';

/** A mistake in the file itself, as opposed to an unavailable lock or a broken connection. */
export class FileFailure extends Failure {}

/** A file's text, and the path by which messages name it. */
export interface Script {
  path: string;
  text: string;
}

const passing = new Set(['55P03', '40P01', '40001']);

/** Runs a whole file in one round trip; an error names the file and the line. */
export async function runFile(client: pg.ClientBase, file: Script, prelude = ''): Promise<void> {
  refuseTransactionControl(file);
  const script = new ScriptQuery(prelude + file.text);
  try {
    await script.run(client);
  } catch (error) {
    const { code } = error as { code?: string };
    if (isLostConnection(error) || isPassing(error)) throw error;
    const line = lineOf(script, error as pg.DatabaseError, prelude.length);
    throw new FileFailure(`${file.path}:${line}: ${explain(error)}`, code, { cause: error });
  }
}

// A commit in a file would make half a deploy permanent.
function refuseTransactionControl({ path, text }: Script) {
  const control = /^(begin|start\s+transaction|commit|end|rollback|abort|prepare\s+transaction)\b/i;
  const start = statementStarts(text).find((at) => control.test(text.slice(at, at + 40)));
  if (start === undefined) return;
  const line = text.slice(0, start).split('\n').length;
  throw new FileFailure(
    `${path}:${line}: a deploy is one transaction, no file may begin or end it`,
  );
}

/** May the same transaction succeed if it is run again a moment later? */
export function isPassing(error: unknown): boolean {
  const tuple = /tuple concurrently (updated|deleted)/.test((error as Error)?.message);
  return passing.has(codeOf(error) ?? '') || (codeOf(error) === 'XX000' && tuple);
}

/** Many statements sent as one query, counting those that completed; pg calls the handlers. */
class ScriptQuery {
  completed = 0;
  readonly text: string;
  private settle: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  constructor(text: string) {
    this.text = text;
  }

  run(client: pg.ClientBase): Promise<void> {
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      client.query(this);
    });
  }

  submit(connection: pg.Connection) {
    connection.query(this.text);
  }
  handleCommandComplete() {
    this.completed += 1;
  }
  handleReadyForQuery() {
    this.settle?.resolve();
  }
  handleError(error: unknown) {
    this.settle?.reject(error);
  }
  // A file that is sent as one query has no standard input to copy from.
  handleCopyInResponse(connection: { sendCopyFail(message: string): void }) {
    connection.sendCopyFail('copy … from stdin does not work here');
  }
  handleRowDescription() {}
  handleDataRow() {}
  handleEmptyQuery() {}
  handlePortalSuspended() {}
  handleCopyData() {}
}

function lineOf(script: ScriptQuery, error: pg.DatabaseError, skipped: number): number {
  // Positions count characters, where JavaScript counts UTF-16 units.
  const before = error.position
    ? [...script.text].slice(0, Number(error.position) - 1).join('')
    : script.text.slice(0, statementStarts(script.text)[script.completed] ?? skipped);
  return before.split('\n').length;
}

const token =
  /--[^\n]*|\/\*[\s\S]*?\*\/|\s+|\bE'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$(?:[a-z_]\w*)?\$)[\s\S]*?\1|[a-z_][\w$]*|[\s\S]/giy;

/** Where each statement of the text begins. Good enough to name a line; no parser. */
export function statementStarts(text: string): number[] {
  const starts: number[] = [];
  let inside = false;
  let depth = 0; // of begin atomic … end, whose semicolons end no statement
  let last = '';
  for (const match of text.matchAll(token)) {
    const word = match[0].toLowerCase();
    if (/^(\s|--|\/\*)/.test(word)) continue;
    if (!inside && word !== ';') starts.push(match.index);
    inside = word !== ';' || depth > 0;
    if (word === 'atomic' && last === 'begin') depth = 1;
    else if (depth > 0 && word === 'case') depth += 1;
    else if (depth > 0 && word === 'end') depth -= 1;
    last = word;
  }
  return starts;
}
