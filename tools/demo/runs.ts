import pg from 'pg';
import { Failure } from '../../scripts/shell/explain.ts';
import { formatTable } from '../../scripts/shell/format.ts';
import { account, only } from './replay.ts';
import { countDiscrepancies } from './surfaces.ts';

const topUp = 1000;
const captures = [180, 220, 37];
const cost = 437;

/** An agent's run, whose cost is known only when it ends: hold, work, capture. */
export async function agentRun(client: pg.Client): Promise<string> {
  await client.query(
    `select transaction_id from credits.grant_credits(
       p_account_id => $1, p_amount => $2, p_idempotency_key => 'payment pi_1')`,
    [account, topUp],
  );
  const before = await readRun(client);
  const held = await client.query<{ hold_id: number }>(
    `select hold_id from credits.hold_credits($1, $2, 'run 1', p_operation => '/agent',
       p_run_id => 'run_1')`,
    [account, topUp],
  );
  const { hold_id } = only(held.rows);
  const during = await readRun(client);
  for (const [i, amount] of captures.entries())
    await client.query(
      `select transaction_id from credits.capture_hold($1, $2, $3, $4, p_final => $5)`,
      [account, hold_id, amount, `run 1 part ${i + 1}`, i === captures.length - 1],
    );
  const after = await readRun(client);
  for (const surface of ['balance', 'available'] as const) check(before[surface] - after[surface]);
  for (const surface of ['invoice', 'lines', 'usage'] as const)
    check(after[surface] - before[surface]);

  const row = (name: string, surface: keyof Run) => [
    name,
    ...[before, during, after].map((run) => `${run[surface]}`),
  ];
  const rows = [
    row('balance', 'balance'),
    row('held', 'held'),
    row('available', 'available'),
    row('invoice', 'invoice'),
    row('its lines, summed', 'lines'),
    row('usage by key, summed', 'usage'),
  ];
  const heading = ['surface', 'before', `holding ${topUp}`, 'after'];
  const right = 'right' as const;
  return `The customer buys ${topUp} credits, and an agent runs on them. It holds ${topUp}, captures ${captures.join(', ')}
as it goes, and ends: it has cost ${cost}, once, everywhere.

${formatTable(heading, rows, ['left', right, right, right]).join('\n')}`;
}

/** A limit stops a run that does not end, and a disputed payment leaves a debt that is repaid. */
export async function limitAndDispute(client: pg.Client): Promise<string> {
  await client.query(`select limit_id from credits.set_limit($1, 'run 2', 100, 'run', 'run_2')`, [
    account,
  ]);
  const refused = await deductUntilRefused(client);
  const revoked = await client.query<{ amount: number; balance: number }>(
    `select r.amount, r.balance
     from credits.grant_credits($1, $2, 'payment pi_1') as g,
       credits.revoke_grant($1, g.grant_id, 'dispute dp_1', p_on_spent => 'debt') as r`,
    [account, topUp],
  );
  const granted = await client.query<{ repaid: number; balance: number }>(
    `select repaid, balance from credits.grant_credits($1, 500, 'payment pi_2')`,
    [account],
  );
  const [{ amount, balance }, next] = [only(revoked.rows), only(granted.rows)];
  return `With a limit of 100, a run that calls in a loop for 30 is stopped at its ${refused.calls}th call:
${refused.code}, ${refused.remaining} left of 100. Then the bank takes the payment of ${topUp} back: ${amount} are revoked, spent or
not, which leaves a balance of ${balance}. The next payment, of 500, repays ${next.repaid} of it first: ${next.balance}.
credits.explain_balance('${account}') traces each of these; credits.discrepancies: ${await countDiscrepancies(client)} rows.`;
}

async function deductUntilRefused(client: pg.Client) {
  for (let calls = 1; calls <= 4; calls += 1) {
    try {
      await client.query(
        `select transaction_id from credits.deduct_credits($1, 30, $2, p_run_id => 'run_2')`,
        [account, `run 2 call ${calls}`],
      );
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || error.code !== 'PT429') throw error;
      return { calls, code: error.code, remaining: JSON.parse(error.detail ?? '').remaining };
    }
  }
  throw new Failure('a run spent more than its limit');
}

interface Run {
  balance: number;
  held: number;
  available: number;
  invoice: number;
  lines: number;
  usage: number;
}

async function readRun(client: pg.Client): Promise<Run> {
  const { rows } = await client.query<Run>(
    `select r.*, i.*, l.*, u.*
     from (select balance, held, available from credits.remaining where account_id = $1) as r,
          (select sum(net_used)::bigint as invoice from credits.invoice where account_id = $1) as i,
          (select sum(net_used)::bigint as lines
           from credits.invoice_lines where account_id = $1) as l,
          (select sum(net_used)::bigint as usage from credits.usage where account_id = $1) as u`,
    [account],
  );
  return only(rows);
}

function check(figure: number): void {
  if (figure !== cost) throw new Failure(`a run that cost ${cost} shows as ${figure}`);
}
