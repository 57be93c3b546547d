import { readAsUser, readParties } from '../adoption/app/parties.ts';
import { type CutoverReport, cutover, planCutover } from '../adoption/cutover/cutover.ts';
import { describeHomeless } from '../adoption/cutover/newcomers.ts';
import { type RollbackReport, rollback } from '../adoption/cutover/rollback.ts';
import { checkMapping } from '../adoption/mapping/check.ts';
import { type Mapping, readMapping } from '../adoption/mapping/mapping.ts';
import { type Log, parseCommand, sharedHelp, UsageError, withClient } from '../postgres/connect.ts';
import { plural, toJson } from '../shell/format.ts';
import { onInterrupt } from '../shell/signals.ts';

export const help = `pg-credits cutover: put views that read the ledger where the app's tables stood

In one transaction: writers are locked out, both books are compared once more, the shadow is removed, each table X that
the mapping names for balances, transactions and counters becomes X_before_pg_credits, and a view X has its columns,
types and privileges. A balance or a counter comes from the ledger; what else is in such a table can be read and
written as before; a write to a figure, or to the transactions, fails: the code that spends must call credits.* now.
Readers need no change, but for what needs a table: group by a primary key alone, copy X to, and what is bound to the
table and not to its name, which --plan lists.
Exit status: 0 done, 1 it failed and nothing was changed, 2 wrong usage, 130 or 143 interrupted.

  --mapping FILE        where the app keeps its credits (pg-credits.yaml)
  --plan                print the SQL, and change nothing
  --rollback            put the tables back, write to them what has happened since, and turn the shadow on: the old code
                        goes on. Stop what calls credits.* first: nothing leads from the ledger to the tables then
  --one-way             cut over although a rollback will be impossible
${sharedHelp}`;

export async function run(args: string[]): Promise<number> {
  const { values } = parseCommand(args, {
    mapping: { type: 'string' },
    plan: { type: 'boolean' },
    rollback: { type: 'boolean' },
    'one-way': { type: 'boolean' },
  });
  const { json = false, plan, rollback: back, 'one-way': oneWay = false } = values;
  if (plan && back) throw new UsageError('--plan or --rollback, not both');
  if (oneWay && (plan || back)) throw new UsageError('--one-way is for a cutover');
  const mapping = readMapping(values.mapping ?? 'pg-credits.yaml');
  const log: Log = (line) => console.error(json ? JSON.stringify({ progress: line }) : line);
  onInterrupt(json);
  return withClient(values, async (client) => {
    const parties = await readParties(client);
    const show = <T>(report: T, describe: (report: T) => string[]) => {
      console.log(json ? toJson(report) : describe(report).join('\n'));
      return 0;
    };
    if (back)
      return show(await rollback(client, mapping, parties, log), (report) =>
        describeRollback(mapping, report),
      );
    const planned = await readAsUser(client, parties, async () => {
      await checkMapping(client, mapping);
      return (await planCutover(client, mapping, parties)).report;
    });
    if (plan) return show(planned, describePlan);
    return show(await cutover(client, mapping, parties, { oneWay, log }), describeCutover);
  });
}

function describePlan(report: CutoverReport): string[] {
  const comments = [
    ...describeRest(
      report,
      'a rollback will be possible, unless a constraint or a trigger of yours refuses it: cutover tries that',
    ),
    'one transaction: these tables are locked, compared, and the shadow is removed; then:',
  ];
  return [...comments.map((line) => `-- ${line}`), ...report.statements.map((each) => `${each};`)];
}

function describeCutover(report: CutoverReport): string[] {
  return [...describeRest(report), `cut over at ${report.since}: ${report.replaced.join(', ')}`];
}

const describeRest = (
  { left, notes, one_way }: CutoverReport,
  wayBack = 'a rollback will be possible',
) => [
  ...left.map((line) => `left alone: ${line}`),
  ...notes.map((line) => `note: ${line}`),
  ...(one_way.length > 0
    ? one_way.map((line) => `a rollback will be impossible: ${line}`)
    : [wayBack]),
];

function describeRollback(mapping: Mapping, report: RollbackReport): string[] {
  const { since, restored, transactions, figures, homeless } = report;
  const more = homeless.length - 20;
  return [
    ...homeless.slice(0, 20).map((account) => describeHomeless(mapping, account)),
    ...(more > 0 ? [`… and ${more} more, which --json lists`] : []),
    `${plural(BigInt(transactions), 'transaction')} since ${since} written back, figures set in ${plural(BigInt(figures), 'row')}`,
    `rolled back: ${restored.join(', ')}; the shadow is on`,
  ];
}
