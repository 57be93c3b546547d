import pg from 'pg';
import { Failure } from '../../scripts/shell/explain.ts';
import { formatTable } from '../../scripts/shell/format.ts';
import { account, allowance, book, type Call, only } from './replay.ts';
import { checkAgreement, countDiscrepancies, type Now, readNow } from './surfaces.ts';

export async function refund(client: pg.Client, calls: Call[]): Promise<string> {
  const dearest = calls.reduce((one, other) => (other.cost > one.cost ? other : one));
  const [before, foundBefore] = [await readNow(client), await countDiscrepancies(client)];
  await client.query(
    `select transaction_id from credits.refund_credits(
       p_account_id => $1, p_idempotency_key => $2, p_transaction_id => (
         select t.transaction_id from credits.transactions as t
         where t.account_id = $1 and t.idempotency_key = $3))`,
    [account, `refund-${dearest.call_id}`, `call-${dearest.call_id}`],
  );
  const [after, foundAfter] = [await readNow(client), await countDiscrepancies(client)];
  checkAgreement(after, before.invoice - dearest.cost);

  const row = (name: string, figure: (now: Now) => number) => [
    name,
    `${figure(before)}`,
    `${figure(after)}`,
  ];
  const rows = [
    row('balance delta', (now) => allowance - now.balance),
    row('invoice', (now) => now.invoice),
    row('its lines, summed', (now) => now.lines),
    row('usage by key, summed', (now) => now.usage),
    row('remaining quota', (now) => now.available),
    ['rows in credits.discrepancies', `${foundBefore}`, `${foundAfter}`],
  ];
  const lines = formatTable(['surface', 'before', 'after'], rows, ['left', 'right', 'right']);
  return `Now the dearest call, ${dearest.cost} credits, is refunded. Everything moves together:

${lines.join('\n')}`;
}

export async function retry(client: pg.Client, calls: Call[]): Promise<string> {
  const before = await readNow(client);
  const again = await book(client, only(calls.slice(-1)));
  const after = await readNow(client);
  if (!again.replayed || JSON.stringify(before) !== JSON.stringify(after))
    throw new Failure('a call that was sent twice was booked twice');
  return `The last call is sent again with its idempotency key, as after a time-out. It gets its first answer
again (transaction_id = ${again.transaction_id}, replayed = ${again.replayed}), and nothing moved: ${after.available} are still available.`;
}

export async function overspend(client: pg.Client): Promise<string> {
  const { available } = await readNow(client);
  const error = await client
    .query(
      `select transaction_id from credits.deduct_credits(
         p_account_id => $1, p_amount => $2, p_idempotency_key => 'too-much')`,
      [account, available + 1],
    )
    .then(
      () => new Failure(`${available + 1} credits were deducted where there were ${available}`),
      (reason: unknown) => reason,
    );
  if (!(error instanceof pg.DatabaseError) || error.code !== 'PT402') throw error;
  return `A deduction of ${available + 1}, one more than that, raises ${error.code}, ${error.message}, with this detail:
${JSON.stringify(JSON.parse(error.detail ?? ''))}`;
}
