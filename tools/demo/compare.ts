import type pg from 'pg';
import { formatTable } from '../../scripts/shell/format.ts';
import { account, allowance, only } from './replay.ts';
import { checkReplay, countDiscrepancies, readNow, type Then } from './surfaces.ts';

/** What the old surfaces said then, beside what ours say. */
export async function compare(client: pg.Client): Promise<string> {
  const [then, now] = [await readThen(client), await readNow(client)];
  checkReplay(then, now);
  const overstated = then.remaining_quota - now.available;
  const heading = ['surface', 'they said then', 'pg-credits says now', 'read from'];
  const rows = [
    [
      'balance delta',
      `${then.balance_delta} in ${then.debits} debits`,
      `${allowance - now.balance}, from ${allowance} to ${now.balance}`,
      'credits.remaining',
    ],
    ['invoice', `${then.invoice}`, `${now.invoice}`, 'credits.invoice'],
    ['its lines, summed', '-', `${now.lines}`, 'credits.invoice_lines'],
    [
      'usage by key, summed',
      `${then.key_usage}, a raw count of calls`,
      `${now.usage} in ${now.usage_calls} calls`,
      'credits.usage',
    ],
    [
      'remaining quota',
      `${then.remaining_quota}, over-stated by ${overstated}`,
      `${now.available}`,
      'credits.remaining',
    ],
  ];
  const { searches, searched, executes, executed, llm_calls, llm_missed } = await readCalls(client);
  return `In one month an account spent ${searched + executed} credits: ${searched} on ${searches} calls to /search, ${executed} on ${executes} calls
to /execute. Its gateway kept the balance right and the rest wrong. Here the same calls are booked
by its old code (tools/demo/old-way.sql) and by pg-credits. The totals are real; the single
calls (tools/demo/calls.sql) and the allowance of ${allowance} are made up to match.

${formatTable(heading, rows).join('\n')}

The old counter missed the ${searched} credits of /search, whose debits carried no API key, and ${llm_missed} on the
LLM path of /execute, where it counted each of ${llm_calls} calls as 1.
credits.discrepancies, which compares all of ours: ${await countDiscrepancies(client)} rows.`;
}

async function readThen(client: pg.Client): Promise<Then> {
  const { rows } = await client.query<Then>('select * from old_way.surfaces where user_id = $1', [
    account,
  ]);
  return only(rows);
}

type Figures = 'searches' | 'searched' | 'executes' | 'executed' | 'llm_calls' | 'llm_missed';

async function readCalls(client: pg.Client) {
  const { rows } = await client.query<Record<Figures, number>>(
    `select count(*) filter (where path = '/search') as searches,
            (sum(cost) filter (where path = '/search'))::bigint as searched,
            count(*) filter (where path = '/execute') as executes,
            (sum(cost) filter (where path = '/execute'))::bigint as executed,
            count(*) filter (where uses_llm) as llm_calls,
            (sum(cost - 1) filter (where uses_llm))::bigint as llm_missed
     from public.calls`,
  );
  return only(rows);
}
