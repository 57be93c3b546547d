import { type Invoice, readInvoices } from '../invoice/invoices.ts';
import { parseCommand, sharedHelp, UsageError, withClient } from '../postgres/connect.ts';
import { alignRows, formatAmount, formatTable, grouped, toJson } from '../shell/format.ts';

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
    grouped(line.calls),
    ...[line.credits_used, line.credits_refunded, line.net_used].map(amount),
  ]);
  const { credits_used, credits_refunded, net_used, calls } = invoice;
  rows.push([
    'total',
    '',
    grouped(calls),
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

export const help = `pg-credits invoice ACCOUNT: the account's invoice for the running period, from the ledger

  --period YYYY-MM      for the period that starts in that month; YYYY-MM-DD: on that day
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseCommand(args, { period: { type: 'string' } }, true);
  const [accountId, ...rest] = positionals;
  if (!accountId) throw new UsageError('name the account: pg-credits invoice ACCOUNT');
  if (rest.length > 0) throw new UsageError(`one ACCOUNT at a time, not also ${rest.join(' ')}`);
  checkPeriod(values.period);
  const invoices = await withClient(values, (client) =>
    readInvoices(client, accountId, values.period),
  );
  const text = invoices.map((invoice) => describe(invoice).join('\n')).join('\n\n\n');
  console.log(values.json ? toJson(invoices) : text);
  return 0;
}

function checkPeriod(period: string | undefined) {
  if (period === undefined) return;
  const day = new Date(`${period.length === 7 ? `${period}-01` : period}T00:00:00Z`);
  const exists = !Number.isNaN(day.getTime()) && day.toISOString().startsWith(period);
  if (!/^\d{4}-\d\d(-\d\d)?$/.test(period) || !exists)
    throw new UsageError(
      `--period must be a month or a period's first day, like 2026-03 or 2026-03-15, not ${period}`,
    );
}
