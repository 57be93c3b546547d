import type pg from 'pg';
import { type Live, mustRead, readOnly } from '../postgres/live.ts';
import { Failure } from '../shell/explain.ts';
import { printable } from '../shell/format.ts';

export interface Line {
  api_key_id: string | null;
  operation: string | null;
  credits_used: bigint;
  credits_refunded: bigint;
  net_used: bigint;
  calls: bigint;
}

export interface Invoice {
  account_id: string;
  unit: string;
  scale: number;
  /** The period's first local day. */
  period: string;
  is_open: boolean;
  opening_balance: bigint;
  credits_granted: bigint;
  credits_used: bigint;
  credits_refunded: bigint;
  credits_expired: bigint;
  credits_revoked: bigint;
  closing_balance: bigint;
  net_used: bigint;
  calls: bigint;
  lines: Line[];
}

/** Invoices for the running period, for the one that starts on a given day, or for all that start in a given month. */
export function readInvoices(
  client: pg.ClientBase,
  accountId: string,
  period?: string,
): Promise<Invoice[]> {
  return readOnly(client, async (live) => {
    mustRead(live, ['credits.remaining', 'credits.invoice', 'credits.invoice_lines']);
    const account = await readAccount(client, live, accountId);
    const wanted = period ?? account.period;
    const found = await readPeriods(client, account, wanted);
    // The running period has an invoice even before it has entries.
    if (account.period.startsWith(wanted) && !found.some((each) => each.period === account.period))
      found.push({
        ...empty,
        ...account,
        opening_balance: account.balance,
        closing_balance: account.balance,
      });
    if (found.length === 0) throw await noSuchPeriod(client, account, wanted);
    const invoices: Invoice[] = [];
    for (const { balance: _, ...invoice } of found)
      invoices.push({ ...invoice, lines: await readLines(client, accountId, invoice.period) });
    return invoices;
  });
}

const empty = {
  is_open: true,
  credits_granted: 0n,
  credits_used: 0n,
  credits_refunded: 0n,
  credits_expired: 0n,
  credits_revoked: 0n,
  net_used: 0n,
  calls: 0n,
};

interface Account {
  account_id: string;
  unit: string;
  scale: number;
  balance: bigint;
  period: string;
}

async function readAccount(client: pg.ClientBase, live: Live, id: string): Promise<Account> {
  const { rows } = await client.query(
    `select account_id, unit, scale, balance, period_start::text as period
    from credits.remaining where account_id = $1`,
    [id],
  );
  if (!rows[0]) throw new Failure(`no account ${quoted(id)} in database ${live.database}`, 'PT404');
  return { ...rows[0], balance: BigInt(rows[0].balance) };
}

const quoted = (id: string) => `'${printable(id)}'`;

const figures = [
  'opening_balance',
  'credits_granted',
  'credits_used',
  'credits_refunded',
  'credits_expired',
  'credits_revoked',
  'closing_balance',
  'net_used',
  'calls',
] as const;
type Figures = Record<(typeof figures)[number], bigint>;

async function readPeriods(client: pg.ClientBase, account: Account, wanted: string) {
  const { rows } = await client.query(
    `select period::text as period, is_open, ${figures.join(', ')} from credits.invoice
    where account_id = $1 and pg_catalog.starts_with(period::text, $2) order by period`,
    [account.account_id, wanted],
  );
  return rows.map((row) => ({
    ...account,
    period: row.period as string,
    is_open: row.is_open as boolean,
    ...(Object.fromEntries(figures.map((name) => [name, BigInt(row[name])])) as Figures),
  }));
}

async function noSuchPeriod(client: pg.ClientBase, account: Account, wanted: string) {
  const { rows } = await client.query(
    `select period::text as period from credits.invoice where account_id = $1
    order by period desc limit 12`,
    [account.account_id],
  );
  const periods = new Set([...rows.map((row) => row.period).reverse(), account.period]);
  return new Failure(
    `account ${quoted(account.account_id)} has no period ${wanted}: ${periods.size === 1 ? 'its only one is' : 'the latest are'} ${[...periods].slice(-12).join(', ')}`,
  );
}

async function readLines(
  client: pg.ClientBase,
  accountId: string,
  period: string,
): Promise<Line[]> {
  const { rows } = await client.query(
    `select api_key_id, operation, credits_used, credits_refunded, net_used, calls
    from credits.invoice_lines where account_id = $1 and period = $2::date
    order by operation collate "C" nulls last, api_key_id collate "C" nulls last`,
    [accountId, period],
  );
  return rows.map(({ api_key_id, operation, ...row }) => ({
    api_key_id,
    operation,
    credits_used: BigInt(row.credits_used),
    credits_refunded: BigInt(row.credits_refunded),
    net_used: BigInt(row.net_used),
    calls: BigInt(row.calls),
  }));
}
