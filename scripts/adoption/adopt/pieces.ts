import type pg from 'pg';
import type { Acting } from '../app/actor.ts';
import { inTransaction } from '../app/transaction.ts';
import {
  type Choice,
  importRows,
  lockAccounts,
  notAdopted,
  type Row,
  setBeginnings,
} from './import.ts';

interface Pieces {
  query: string;
  choice: Choice;
  size: number;
  interrupted: () => unknown;
  imported: (transactions: number) => void;
}

/**
 * Imports what an account has now, in pieces that are committed: each entry leaves a version of the account's row, and
 * within one transaction all those after it have to pass it. Not adopted by that: its batch reads everything again.
 */
export async function importPieces(
  client: pg.ClientBase,
  acting: Acting,
  id: string,
  { query, choice, size, interrupted, imported }: Pieces,
): Promise<void> {
  const isToDo = await inTransaction(client, 'read committed, read write', async () => {
    if ((await notAdopted(acting, [id])).length === 0) return false;
    await acting.user(`declare pieces no scroll cursor with hold for ${query}`, [[id]]);
    return true;
  });
  if (!isToDo) return;
  try {
    const heads = await next(client, 1);
    // Fetched outside of the transaction: one that is begun again would find the cursor moved on.
    for (let rows = await next(client, size); rows.length > 0; rows = await next(client, size)) {
      if (interrupted()) return;
      const piece = () => importPiece(acting, choice, id, heads, rows);
      if (!(await inTransaction(client, 'read committed, read write', piece))) return;
      imported(rows.length);
    }
  } finally {
    await client.query('close pieces').catch(() => {});
  }
}

const next = async (client: pg.ClientBase, count: number): Promise<Row[]> =>
  (await client.query(`fetch ${count} from pieces`)).rows;

/** False: another adopt has ended the account meanwhile. */
async function importPiece(acting: Acting, choice: Choice, id: string, heads: Row[], rows: Row[]) {
  const { ids, begun } = await lockAccounts(acting, choice, [id]);
  if (ids.length === 0) return false;
  if (!begun.has(id)) {
    await setBeginnings(acting, choice, heads);
    await acting.owner(
      'insert into credits_adoption.begun (account_id, book, trust) values ($1, $2, $3)',
      [id, choice.book, choice.trust],
    );
  }
  await importRows(acting, rows);
  return true;
}
