import type { CounterMapping, Mapping } from '../mapping/mapping.ts';
import type { Column, Table } from './catalogue.ts';
import { names } from './names.ts';

type Fit = (column: Column) => boolean;
const isWhole: Fit = ({ kind }) => kind === 'whole';
const isMoment: Fit = ({ kind }) => kind === 'moment' || kind === 'local';
const isAny: Fit = () => true;

const find = (table: Table, pattern: RegExp, fits: Fit = isAny, not: (Column | undefined)[] = []) =>
  table.columns.find((each) => pattern.test(each.name) && fits(each) && !not.includes(each));

const idOf = (table: Table) =>
  table.columns.find(({ isUnique, name }) => isUnique && /^(id|.*_?id|key)$/i.test(name)) ??
  table.columns.find(({ isUnique }) => isUnique);

const moment = ({ quoted, kind }: Column) =>
  kind === 'local' ? `${quoted} at time zone 'UTC'` : quoted;

/** Of a table whose rows are not deleted but marked: those that are there. */
function present(table: Table): { where?: string } {
  const deleted = find(table, names.deleted, isMoment);
  return deleted ? { where: `${deleted.quoted} is null` } : {};
}

/** Whose credits a row is about: where it points to, or else how it is called. */
function accountOf(table: Table, like?: Column): Column | undefined {
  const pointing = table.columns.filter(
    ({ references, name }) => references && names.account.test(name),
  );
  return (
    table.columns.find(({ references }) => like?.references && references === like.references) ??
    table.columns.find(({ name }) => name === like?.name) ??
    pointing[0] ??
    find(table, names.account)
  );
}

/** Whose ids these are: as the foreign key says, or else those of the table of that name. */
function ownersOf(tables: Table[], { name, references, kind }: Column): Table | undefined {
  if (references) return tables.find((table) => table.name === references);
  const one = bare(name).replace(/id$/, '');
  const called = [one, `${one}s`, one.replace(/y$/, 'ies')];
  return tables.find((table) => called.includes(bare(table.plain)) && idOf(table)?.kind === kind);
}

const bare = (name: string) => name.replaceAll('_', '').toLowerCase();

/** What may be the mapping; undefined when no table looks like one of transactions. */
export function guessMapping(tables: Table[]): Mapping | undefined {
  const candidates = tables.flatMap((table) => {
    const guess = guessTransactions(table);
    return guess ? [{ table, ...guess }] : [];
  });
  const best = candidates.sort((a, b) => b.score - a.score)[0];
  if (!best) return undefined;
  const others = tables.filter((table) => table !== best.table);
  const owners = ownersOf(others, best.account);
  const id = owners && idOf(owners);
  const balances = guessBalances(others, best.account, owners);
  return {
    ...(owners &&
      id && { accounts: { table: owners.name, account_id: id.quoted, ...present(owners) } }),
    ...(balances && { balances }),
    transactions: best.transactions,
    counters: others.flatMap((table) => guessCounters(table, best.account, owners)),
  };
}

function guessTransactions(table: Table) {
  const [id, account] = [idOf(table), accountOf(table)];
  const amount = find(table, names.amount, isWhole);
  const at = find(table, names.created_at, isMoment);
  // A table with one row for each account holds balances.
  if (!id || !account || !amount || !at || account.isUnique) return undefined;
  const optional = {
    balance_after: find(table, names.balance_after, isWhole, [amount]),
    kind: find(table, names.kind, ({ kind }) => kind === 'text'),
    refunded_transaction_id:
      table.columns.find(({ references }) => references === table.name) ??
      find(table, names.refunded, isAny, [id]),
    reference: find(table, names.reference, isAny, [id]) ?? find(table, names.payment, isAny, [id]),
    api_key_id: find(table, names.api_key, isAny, [id]),
    operation: find(table, names.operation, ({ kind }) => kind === 'text'),
    run_id: find(table, names.run, isAny, [id]),
  };
  const found = Object.entries(optional).flatMap(([name, column]) =>
    column ? [[name, column.quoted]] : [],
  );
  const score = (names.transactions.test(table.plain) ? 3 : 0) + found.length;
  const transactions: Mapping['transactions'] = {
    table: table.name,
    account_id: account.quoted,
    transaction_id: id.quoted,
    amount: amount.quoted,
    created_at: moment(at),
    ...Object.fromEntries(found),
    ...present(table),
  };
  return { account, score, transactions };
}

/** One row for each account, with a balance: a table of its own, or the accounts'. */
function guessBalances(tables: Table[], like: Column, owners: Table | undefined) {
  for (const table of tables) {
    const account = table === owners ? idOf(table) : accountOf(table, like);
    const balance = find(table, names.balance, isWhole, [account]);
    if (account?.isUnique && balance && (table === owners || names.balances.test(table.plain)))
      return {
        table: table.name,
        account_id: account.quoted,
        balance: balance.quoted,
        ...present(table),
      };
  }
  return undefined;
}

function guessCounters(table: Table, like: Column, owners: Table | undefined): CounterMapping[] {
  const account = table === owners ? idOf(table) : accountOf(table, like);
  const key = names.apiKeys.test(table.plain) ? idOf(table) : undefined;
  // Otherwise a row is an event, and not what was counted of them.
  if (!account || (key ?? account).isUnique === false) return [];
  const since = find(table, names.since, isMoment);
  return table.columns
    .filter(
      (each) => isWhole(each) && names.counter.test(each.name) && !names.noCounter.test(each.name),
    )
    .map((column) => ({
      name: column.name,
      table: table.name,
      account_id: account.quoted,
      ...(key && key !== account && { api_key_id: key.quoted }),
      value: column.quoted,
      counts: 'credits',
      ...(since && { since: moment(since) }),
      ...present(table),
    }));
}
