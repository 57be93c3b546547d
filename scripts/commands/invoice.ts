import { readInvoices } from '../invoice/invoices.ts';
import { describe } from '../invoice/text.ts';
import { withClient } from '../postgres/connect.ts';
import type { Given } from '../shell/command.ts';
import { UsageError } from '../shell/explain.ts';
import { sharedHelp } from '../shell/options.ts';
import type { Answer, Terminal } from '../shell/terminal.ts';

export const help = `pg-credits invoice ACCOUNT: the account's invoice for the running period, from the ledger

  --period YYYY-MM      for the period that starts in that month, or with YYYY-MM-DD on that day
${sharedHelp}`;

export const options = { period: { type: 'string' } } as const;
export const allowPositionals = true;

export async function run(
  { values, positionals }: Given<typeof options>,
  terminal: Terminal,
): Promise<Answer> {
  const [accountId, ...rest] = positionals;
  if (!accountId) throw new UsageError('name the account: pg-credits invoice ACCOUNT');
  if (rest.length > 0) throw new UsageError(`one ACCOUNT at a time, not also ${rest.join(' ')}`);
  checkPeriod(values.period);
  const invoices = await withClient(values, terminal.aside, (client) =>
    readInvoices(client, accountId, values.period),
  );
  const [first = [], ...others] = invoices.map(describe);
  return { report: invoices, lines: [...first, ...others.flatMap((lines) => ['', '', ...lines])] };
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
