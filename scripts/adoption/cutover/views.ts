import pg from 'pg';
import { ident } from '../../postgres/roles.ts';
import type { CounterMapping, Mapping } from '../mapping/mapping.ts';
import { guardStatements } from './guard.ts';
import { type Column, columnOf, readTable, type Table } from './tables.ts';
import { balanceFigure, counterFigure } from './view-figures.ts';
import { planTransactions, type TransactionsView } from './view-transactions.ts';

/** A view that is to stand where a table stands. */
export interface View {
  table: Table;
  /** What is read from the ledger, by column; null for the table of transactions. */
  figures: Map<string, string> | null;
  transactions: TransactionsView | null;
  /** Which views of ours its owner reads. */
  reads: Set<string>;
}

export interface ViewPlan {
  views: View[];
  /** Tables, or figures, that stay as they are, and why. */
  left: string[];
}

export const mark = 'pg-credits since ';

/** Whether the table's place has been taken by a view of ours, and since when. */
export const sinceOf = (table: Table | undefined): string | undefined =>
  table?.kind === 'v' && table.comment?.startsWith(mark)
    ? table.comment.slice(mark.length)
    : undefined;

/** Why a counter, which would be that figure in that column, stays as it is. */
export type CounterObjection = (
  counter: CounterMapping,
  column: Column,
  figure: string,
  table: Table,
) => Promise<string | undefined>;

export async function planViews(
  client: pg.ClientBase,
  mapping: Mapping,
  objection: CounterObjection,
): Promise<ViewPlan> {
  const plan: ViewPlan = { views: [], left: [] };
  const viewOf = async (name: string): Promise<View | undefined> => {
    const table = await readTable(client, name);
    const why = table ? unfit(table) : 'it is not there';
    if (!table || why) {
      plan.left.push(`${name}: ${why}`);
      return undefined;
    }
    const known = plan.views.find((view) => view.table.name === table.name);
    return known ?? { table, figures: new Map(), transactions: null, reads: new Set() };
  };
  const addFigure = async <T extends { table: string }>(
    name: string,
    part: T,
    value: string,
    make: (part: T, column: Column) => string,
    reads: string,
    stays?: (column: Column, figure: string, table: Table) => Promise<string | undefined>,
  ) => {
    const view = await viewOf(part.table);
    if (!view) return;
    const column = columnOf(view.table, value);
    const figure = column && make(part, column);
    const why = figure
      ? await stays?.(column, figure, view.table)
      : 'its value is an expression, not a column';
    if (!figure || why) {
      plan.left.push(`${part.table}: ${name}: ${why}`);
      return;
    }
    view.figures?.set(column.name, figure);
    view.reads.add(reads);
    if (!plan.views.includes(view)) plan.views.push(view);
  };
  const { balances } = mapping;
  if (balances) await addFigure('balance', balances, balances.balance, balanceFigure, 'entries');
  for (const counter of mapping.counters)
    await addFigure(counter.name, counter, counter.value, counterFigure, 'usage', (...figure) =>
      objection(counter, ...figure),
    );
  await addTransactions(mapping, plan, await viewOf(mapping.transactions.table));
  return plan;
}

async function addTransactions(mapping: Mapping, plan: ViewPlan, view: View | undefined) {
  if (!view) return;
  const transactions = planTransactions(mapping, view.table);
  if (typeof transactions === 'string') plan.left.push(`${view.table.name}: ${transactions}`);
  else if (plan.views.includes(view))
    plan.left.push(`${view.table.name}: its transactions are beside other figures`);
  else plan.views.push({ ...view, figures: null, transactions, reads: new Set(['transactions']) });
}

function unfit(table: Table): string | undefined {
  if (table.kind !== 'r' && table.kind !== 'p') return 'it is not a table';
  if (!table.owned) return `it belongs to ${table.owner}: connect as its owner`;
  if (table.rowSecurity)
    return 'it has row level security, which a view in its place would let its readers past';
  if (table.taken) return `there is no room for the name ${table.before}`;
  return undefined;
}

/** The statements that put it in the table's place. */
export function viewStatements(view: View, since: string, user: string) {
  const { table, figures, transactions } = view;
  const { name, before, beforeIdent } = table;
  const select = (figure: (column: string) => string | undefined) =>
    `select\n  ${table.columns
      .map((column) => {
        const sql = figure(column.name);
        return sql ? `${sql} as ${ident(column.name)}` : `t.${ident(column.name)}`;
      })
      .join(',\n  ')}\nfrom ${before} as t`;
  const query = transactions
    ? `${select(() => undefined)}\nunion all\n${transactions.rows(ours(since))}`
    : select((column) => figures?.get(column));
  return [
    `alter table ${name} rename to ${beforeIdent}`,
    `create view ${name} as\n${query}`,
    ...guardStatements(view, since),
    ...(table.owner === user ? [] : [`alter view ${name} owner to ${ident(table.owner)}`]),
    `comment on view ${name} is ${pg.escapeLiteral(mark + since)}`,
    ...table.defaults.map((grantee) => `revoke all on ${name} from ${grantee}`),
    ...table.grants.map(
      ({ privilege, column, grantee, grantable }) =>
        `grant ${privilege}${column === null ? '' : ` (${ident(column)})`} on ${name} to ${grantee}${grantable ? ' with grant option' : ''}`,
    ),
  ];
}

/** What the ledger booked after the app's tables and it agreed. */
export const ours = (since: string) =>
  `(select * from credits.transactions where created_at > ${pg.escapeLiteral(since)}::timestamptz and amount <> 0)`;
