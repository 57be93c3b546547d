import type pg from 'pg';
import {
  connect,
  connectionFrom,
  Failure,
  parseCommand,
  sharedHelp,
  UsageError,
  wholeNumber,
} from './lib/connect.ts';
import { alignRows, formatAmount, formatTable, printable, toJson } from './lib/format.ts';
import { type Live, readOnly } from './lib/live.ts';

interface Line {
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
  /** Its first local day. */
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

/** Of the period that is running, of the one that starts on a day, or of those that start in a month. */
export function readInvoices(
  client: pg.ClientBase,
  accountId: string,
  period?: string,
): Promise<Invoice[]> {
  return readOnly(client, async (live) => {
    refuseUnreadable(live);
    const account = await readAccount(client, live, accountId);
    const wanted = period ?? account.period;
    const found = await readPeriods(client, account, wanted);
    // The period that is running has an invoice before it has entries.
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

function refuseUnreadable({ readable, user, rolePrefix }: Live) {
  const needed = ['credits.remaining', 'credits.invoice', 'credits.invoice_lines'];
  const missing = needed.filter((name) => !readable.has(name));
  if (missing.length > 0)
    throw new Failure(
      `${user} may not read ${missing.join(', ')}: connect as a member of ${rolePrefix}credits_auditor`,
      '42501',
    );
}

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
    `account ${quoted(account.account_id)} has no period ${wanted}: the latest are ${[...periods].slice(-12).join(', ')}`,
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

export function describe(invoice: Invoice): string[] {
  const { scale, unit, period, is_open, lines } = invoice;
  const amount = (value: bigint) => formatAmount(value, scale);
  const unitName =
    scale === 0 ? unit : `${unit}, ${scale} decimal ${scale === 1 ? 'place' : 'places'}`;
  const moves: [string, bigint][] = [
    ['opening balance', invoice.opening_balance],
    ['+ granted', invoice.credits_granted],
    ['- used', invoice.credits_used],
    ['+ refunded', invoice.credits_refunded],
    ['- expired', invoice.credits_expired],
    ['- revoked', invoice.credits_revoked],
    ['= closing balance', invoice.closing_balance],
  ];
  const summary = moves.map(([name, value]) => [name, formatAmount(value, scale, unit)]);
  const rows = lines.map((line) => [
    line.operation ?? '(none)',
    line.api_key_id ?? '(none)',
    String(line.calls),
    ...[line.credits_used, line.credits_refunded, line.net_used].map(amount),
  ]);
  const { credits_used, credits_refunded, net_used, calls } = invoice;
  rows.push([
    'total',
    '',
    String(calls),
    ...[credits_used, credits_refunded, net_used].map(amount),
  ]);
  const state = is_open ? 'open: figures may still change' : 'closed';
  return [
    ...alignRows([
      ['account', invoice.account_id],
      ['period', `from ${period}, ${state}`],
      ['unit', unitName],
    ]),
    '',
    ...alignRows(summary, ['left', 'right']),
    '',
    ...formatTable(['operation', 'api key', 'calls', 'used', 'refunded', 'net'], rows, [
      'left',
      'left',
      'right',
      'right',
      'right',
      'right',
    ]),
  ];
}

export const help = `pg-credits invoice ACCOUNT: its invoice of the period that is running, out of the ledger

  --period YYYY-MM      of the period that starts in this month; YYYY-MM-DD: on this day
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseCommand(args, { period: { type: 'string' } }, true);
  const [accountId, ...rest] = positionals;
  if (accountId === undefined) throw new UsageError('which ACCOUNT?');
  if (rest.length > 0) throw new UsageError(`one ACCOUNT at a time, not also ${rest.join(' ')}`);
  checkPeriod(values.period);
  const client = await connect(connectionFrom(values), {
    wait: wholeNumber('wait', values.wait) ?? 0,
    log: (line) => console.error(line),
  });
  try {
    const invoices = await readInvoices(client, accountId, values.period);
    const text = invoices.map((invoice) => describe(invoice).join('\n')).join('\n\n\n');
    console.log(values.json ? toJson(invoices) : text);
    return 0;
  } finally {
    await client.end().catch(() => {});
  }
}

function checkPeriod(period: string | undefined) {
  if (period === undefined) return;
  const day = new Date(`${period.length === 7 ? `${period}-01` : period}T00:00:00Z`);
  const exists = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(period);
  if (!/^\d{4}-\d\d(-\d\d)?$/.test(period) || !exists)
    throw new UsageError(
      `--period wants a month or a period's first day, like 2026-03 or 2026-03-15: ${period}`,
    );
}
