import { type Moment, readOneMoment } from '../adoption/app/moment.ts';
import { type AccountDiagnosis, diagnose, disagrees } from '../adoption/diagnose/diagnosis.ts';
import { drawPage } from '../adoption/diagnose/html.ts';
import { checkWritable, writePage } from '../adoption/diagnose/html-file.ts';
import { JsonReport } from '../adoption/diagnose/json.ts';
import { describe } from '../adoption/diagnose/text.ts';
import { readTimeline } from '../adoption/diagnose/timeline.ts';
import {
  addAccount,
  comparesNothing,
  newTotals,
  sortCauses,
  Top,
  type Totals,
} from '../adoption/diagnose/totals.ts';
import { writeFirstMapping } from '../adoption/init/init.ts';
import { checkMapping } from '../adoption/mapping/check.ts';
import { withClient } from '../postgres/connect.ts';
import type { Given } from '../shell/command.ts';
import { UsageError } from '../shell/explain.ts';
import { plural } from '../shell/format.ts';
import { sharedHelp, wholeNumber } from '../shell/options.ts';
import type { Answer, Terminal } from '../shell/terminal.ts';
import { mappingFile, mappingFrom, mappingHelp, mappingOptions } from './shared.ts';

export const help = `pg-credits diagnose: what an app's balances, transactions and counters say, and where they disagree

Reads only: one read-only transaction, as of one moment; pg-credits need not be deployed in the database. The mapping
says in which of the app's tables to look. For each account it compares the balance, the chain of balance_after, each
counter and the calls with an API key with the sum of the transactions, and names likely causes. --json lists every
account that disagrees, then the totals.
Exit status: 0 done, 1 it failed, 2 wrong usage; with --check 3 when anything disagrees, or there is nothing to compare.

${mappingHelp}
  --init                write a first mapping, by what the catalogue says; never over a file that is there
  --top N               how many accounts to show, those with the most drift first (10)
  --html FILE           write the picture too: one page that needs nothing else
  --check               exit 3 when anything disagrees, or there is nothing to compare, for CI
${sharedHelp}`;

export const options = {
  ...mappingOptions,
  init: { type: 'boolean' },
  top: { type: 'string' },
  html: { type: 'string' },
  check: { type: 'boolean' },
} as const;

export async function run({ values }: Given<typeof options>, terminal: Terminal): Promise<Answer> {
  const { html, init } = values;
  if (init) {
    if (html !== undefined || values.check || values.top !== undefined)
      throw new UsageError('--init only writes a mapping: look at it, then run without --init');
    const report = await withClient(values, terminal.aside, (client) =>
      writeFirstMapping(client, mappingFile(values)),
    );
    return { report, lines: report.lines };
  }
  const most = wholeNumber('top', values.top) ?? 10;
  const mapping = mappingFrom(values);
  if (html !== undefined) checkWritable(html);
  const totals = await withClient(values, terminal.aside, (client) =>
    readOneMoment(client, async (moment) => {
      await checkMapping(client, mapping);
      const { totals, top } = await read(diagnose(client, mapping), moment, most, terminal);
      if (html !== undefined)
        writePage(html, drawPage(moment, totals, top, await readTimeline(client, mapping)));
      return totals;
    }),
  );
  const fails = totals.disagreeing > 0n || comparesNothing(totals);
  return { code: values.check && fails ? 3 : 0 };
}

/** Keeps the totals and the worst few accounts, never all of them. */
async function read(
  accounts: AsyncIterable<AccountDiagnosis>,
  moment: Moment,
  most: number,
  terminal: Terminal,
): Promise<{ totals: Totals; top: AccountDiagnosis[] }> {
  const [totals, top] = [newTotals(), new Top(most)];
  const report = terminal.json ? new JsonReport(terminal.stdout) : undefined;
  const { progress } = terminal;
  progress(() => 'reading the transactions: the first account comes when all are sorted');
  await report?.begin(moment);
  try {
    for await (const account of accounts) {
      addAccount(totals, account);
      top.add(account);
      if (disagrees(account)) await report?.add(account);
      progress(() => `${plural(totals.accounts, 'account')} so far`);
    }
  } catch (error) {
    await report?.fail(error);
    throw error;
  }
  terminal.wipe();
  sortCauses(totals);
  if (report) await report.end(totals);
  else terminal.print(describe(moment, totals, top.accounts).join('\n'));
  return { totals, top: top.accounts };
}
