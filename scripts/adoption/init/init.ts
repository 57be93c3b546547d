import { writeFileSync } from 'node:fs';
import type pg from 'pg';
import { codeOf, Failure } from '../../shell/explain.ts';
import { readOneMoment } from '../app/moment.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { readTables } from './catalogue.ts';
import { guessMapping } from './guess.ts';
import { template, writeMapping } from './written.ts';

export interface InitReport {
  file: string;
  mapping: Mapping | null;
  lines: string[];
}

/** A first mapping, by names, types and keys; never over a file that is there. */
export async function writeFirstMapping(client: pg.ClientBase, file: string): Promise<InitReport> {
  const { mapping, database, hasDebits } = await readOneMoment(client, async ({ database }) => {
    const mapping = guessMapping(await readTables(client));
    return { database, mapping, hasDebits: mapping ? await findDebit(client, mapping) : true };
  });
  write(file, mapping ? writeMapping(mapping, database, hasDebits) : template(database));
  if (!mapping)
    return {
      file,
      mapping: null,
      lines: [
        `no table of database ${database} looks like one of credit transactions (an account, an amount, a moment)`,
        `${file} is a template: fill it in, then run pg-credits diagnose`,
      ],
    };
  return {
    file,
    mapping,
    lines: [`wrote ${file}, a guess by names, types and keys:`, ...said(mapping, hasDebits)],
  };
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: 'wx' });
  } catch (error) {
    throw new Failure(
      codeOf(error) === 'EEXIST'
        ? `${file} is there already: --init never writes over a file; --mapping names another`
        : `${file} cannot be written: ${(error as Error).message}`,
    );
  }
}

/** Some apps write debits without a sign. */
async function findDebit(client: pg.ClientBase, { transactions }: Mapping): Promise<boolean> {
  await client.query('savepoint pg_credits_debit');
  try {
    const { table, amount } = transactions;
    const { rows } = await client.query(
      `select exists (select from ${table} where ${amount} < 0) as found`,
    );
    return rows[0].found;
  } catch (error) {
    if (codeOf(error) !== '42501') throw error;
    await client.query('rollback to savepoint pg_credits_debit');
    return true;
  }
}

function said(
  { accounts, balances, transactions, counters }: Mapping,
  hasDebits: boolean,
): string[] {
  const { table, ...columns } = transactions;
  const lines = [
    `  transactions  ${table}: ${Object.values(columns).join(', ')}`,
    balances
      ? `  balances      ${balances.table}: ${balances.balance}`
      : '  balances      none found: only the transactions are compared',
    ...(accounts ? [`  accounts      ${accounts.table}`] : []),
    ...counters.map(
      (each) => `  counter       ${each.table}: ${each.value}, taken to count credits`,
    ),
  ];
  if (counters.length === 0) lines.push('  counters      none found');
  if (!hasDebits)
    lines.push(
      `no ${transactions.amount} of ${table} is negative: see the comment there, or every row adds credits`,
    );
  return [...lines, 'check it, then run pg-credits diagnose'];
}
