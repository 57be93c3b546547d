import type { Acting } from '../app/actor.ts';
import { type Row, rowsAtOnce } from './import.ts';

/**
 * What the app changed or deleted of the accounts' transactions after they were imported, in a piece: no shadow has
 * mirrored that. From the cursor `legacy`, whose rows begin after the heads.
 */
export async function correctChanged(acting: Acting, begun: Row[], heads: number) {
  const totals = begun.map(({ account_id, data }) => [account_id, JSON.parse(data).total]);
  const changed = await acting.owner<{ account_id: string }>(
    `select a.account_id from unnest($1::text[], $2::bigint[]) as r (account_id, total)
     join credits_private.accounts as a using (account_id)
     where a.balance <> r.total order by a.account_id`,
    [totals.map(([id]) => id), totals.map(([, total]) => total)],
  );
  if (changed.length === 0) return;
  const found = new Map(changed.map(({ account_id }) => [account_id, [] as string[]]));
  await acting.user(`move absolute ${heads} in legacy`);
  for (;;) {
    const rows = await acting.user<Row>(`fetch ${rowsAtOnce} from legacy`);
    if (rows.length === 0) break;
    for (const { account_id, data } of rows) found.get(account_id)?.push(data);
  }
  for (const [id, rows] of found) await acting.owner(correct, [id, `[${rows.join(',')}]`]);
}

const correct = `
  select credits_private.import_balance($1, c.amount, 'legacy correction',
    'legacy ' || c.transaction_id || ' at adoption',
    jsonb_build_object('legacy_transaction_id', c.transaction_id), null)
  from (
    select transaction_id, coalesce(t.amount, 0) - coalesce(o.amount, 0) as amount
    from jsonb_to_recordset($2::jsonb) as t (transaction_id text, amount bigint)
    full join (
      select substr(l.idempotency_key, 8) as transaction_id, l.amount
      from credits.transactions as l
      where l.account_id = $1 and l.idempotency_key like 'legacy %'
    ) as o using (transaction_id)
    where coalesce(t.amount, 0) <> coalesce(o.amount, 0)
    order by transaction_id collate "C"
  ) as c`;
