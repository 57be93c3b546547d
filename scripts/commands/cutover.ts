import { readAsUser, readParties } from '../adoption/app/parties.ts';
import { cutover, planCutover } from '../adoption/cutover/cutover.ts';
import { rollback } from '../adoption/cutover/rollback.ts';
import { describeCutover, describePlan, describeRollback } from '../adoption/cutover/text.ts';
import { checkMapping } from '../adoption/mapping/check.ts';
import { withClient } from '../postgres/connect.ts';
import type { Given } from '../shell/command.ts';
import { UsageError } from '../shell/explain.ts';
import { sharedHelp } from '../shell/options.ts';
import { endTransaction } from '../shell/signals.ts';
import type { Answer, Terminal } from '../shell/terminal.ts';
import { mappingFrom, mappingHelp, mappingOptions } from './shared.ts';

export const help = `pg-credits cutover: put views that read the ledger where the app's tables stood

In one transaction: writers are locked out, both books are compared once more, the shadow is removed, each table X that
the mapping names for balances, transactions and counters becomes X_before_pg_credits, and a view X has its columns,
types and privileges. A balance or a counter comes from the ledger; what else is in such a table can be read and
written as before; a write to a figure, or to the transactions, fails: the code that spends must call credits.* now.
Readers need no change, but for what needs a table: group by a primary key alone, copy X to, and what is bound to the
table and not to its name, which --plan lists.
Exit status: 0 done, 1 it failed and nothing was changed, 2 wrong usage, 130 or 143 interrupted.

${mappingHelp}
  --plan                print the SQL, and change nothing
  --rollback            put the tables back, write to them what has happened since, and turn the shadow on: the old code
                        goes on. Stop what calls credits.* first: nothing leads from the ledger to the tables then
  --one-way             cut over although a rollback will be impossible
${sharedHelp}`;

export const options = {
  ...mappingOptions,
  plan: { type: 'boolean' },
  rollback: { type: 'boolean' },
  'one-way': { type: 'boolean' },
} as const;

export async function run({ values }: Given<typeof options>, terminal: Terminal): Promise<Answer> {
  const { plan, rollback: back, 'one-way': oneWay = false } = values;
  if (plan && back) throw new UsageError('--plan or --rollback, not both');
  if (oneWay && (plan || back)) throw new UsageError('--one-way is for a cutover');
  const mapping = mappingFrom(values);
  const { log } = terminal;
  endTransaction(terminal);
  return withClient(values, terminal.aside, async (client) => {
    const parties = await readParties(client);
    if (back) {
      const report = await rollback(client, mapping, parties, log);
      return { report, lines: describeRollback(mapping, report) };
    }
    const planned = await readAsUser(client, parties, async () => {
      await checkMapping(client, mapping);
      return (await planCutover(client, mapping, parties)).report;
    });
    if (plan) return { report: planned, lines: describePlan(planned) };
    const report = await cutover(client, mapping, parties, { oneWay, log });
    return { report, lines: describeCutover(report) };
  });
}
