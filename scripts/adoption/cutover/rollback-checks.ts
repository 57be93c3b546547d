import type pg from 'pg';
import { Failure } from '../../shell/explain.ts';
import { grouped, plural } from '../../shell/format.ts';
import type { Parties } from '../app/parties.ts';
import { pairs } from '../compare/balances.ts';
import { type Compared, compareAccount } from '../compare/compare.ts';
import type { Mapping } from '../mapping/mapping.ts';
import { describeDifference } from './gate.ts';
import type { Booked } from './newcomers.ts';
import type { View } from './views.ts';
import { triggersOf } from './write-back.ts';

const shown = 10;

/** What a rollback has written must be what the ledger says: a trigger of the app's may have written it once more. */
export async function checkWritten(
  client: pg.ClientBase,
  mapping: Mapping,
  parties: Parties,
  views: View[],
  booked: Booked[],
  rows: { written: number; found: number },
) {
  const wrong: string[] = [];
  if (rows.found !== rows.written)
    wrong.push(
      `${mapping.transactions.table} has ${plural(BigInt(rows.found), 'new row')} instead of ${grouped(rows.written)}`,
    );
  const balances = views.some(({ reads }) => reads.has('entries'));
  const accounts = new Set(booked.filter(({ written }) => written).map((each) => each.account_id));
  for await (const [legacy, ours] of pairs(client, mapping, parties)) {
    if (!legacy || !ours || !accounts.has(ours.account_id)) continue;
    const account = compareAccount(legacy, ours);
    const wrongly = disagreement(account, balances);
    if (wrongly) wrong.push(describeDifference(wrongly));
  }
  if (wrong.length === 0) return;
  const more = wrong.length > shown ? [`… and ${grouped(wrong.length - shown)} more`] : [];
  throw new Failure(
    [
      'nothing was changed: with what was written back, the tables would not say what the ledger says:',
      ...wrong.slice(0, shown),
      ...more,
      ...suspects(await triggersOf(client, views)),
    ].join('\n'),
  );
}

/** By what is trusted, or else by the balance, if that was written. */
function disagreement(account: Compared, balances: boolean): Compared | undefined {
  const { balance, ours, difference } = account;
  if (difference !== 0n) return account;
  if (!balances || balance === null || ours === null || balance === ours) return undefined;
  return { ...account, trust: 'balance', trusted: balance, difference: ours - balance };
}

const suspects = (triggers: string[]) =>
  triggers.length === 0
    ? []
    : [
        `if a trigger writes balances or transactions of its own, disable it, run this again, and enable it then: ${triggers.join(', ')}`,
      ];
