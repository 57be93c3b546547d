import { alignRows, formatAmount, formatTable, grouped } from '../shell/format.ts';
import type { Invoice } from './invoices.ts';

/** What a person reads. */
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
