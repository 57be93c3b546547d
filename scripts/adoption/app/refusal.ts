import type pg from 'pg';

export interface Refusal {
  account_id?: string;
  /** With the argument that it is about, where it is about one. */
  text: string;
}

/** What the ledger refuses says in its detail of which account, and what of it; undefined for any other error. */
export function readRefusal(error: unknown): Refusal | undefined {
  try {
    const { account_id, argument } = JSON.parse((error as pg.DatabaseError).detail ?? '');
    const what = argument === undefined ? '' : `${argument.replace(/^p_/, '')}: `;
    return { account_id, text: `${what}${(error as Error).message}` };
  } catch {
    return undefined;
  }
}
