import { grouped, plural, printable } from '../../shell/format.ts';
import type { RetryReport } from '../shadow/retry.ts';
import type { ShadowState } from '../shadow/shadow.ts';
import type { Sample } from './compare.ts';
import { describeMirror, describeMissing, describeShadow } from './report.ts';

export function installed(state: ShadowState, changed: boolean): string[] {
  return [changed ? describeShadow(state) : `nothing to do: ${describeShadow(state)}`];
}

export function status(sample: Sample): string[] {
  return [
    describeShadow(sample.shadow),
    ...describeMirror(sample),
    ...(sample.not_adopted > 0n ? describeMissing(sample) : ['every account is adopted']),
  ];
}

export function retried({
  given_up,
  booked,
  not_needed,
  left,
}: RetryReport & { given_up: string[] }): string[] {
  const lines = left.map(
    ({ failure_id, account_id, transaction_id, why }) =>
      `failure ${failure_id}, account ${printable(account_id ?? '-')}, transaction ${printable(transaction_id ?? '-')}: ${why}`,
  );
  return [
    ...given_up.map((id) => `failure ${id} is given up: what it leaves amiss, compare shows`),
    ...lines,
    `${plural(BigInt(booked), 'write')} booked, ${grouped(not_needed)} that adopt has read or will, ${grouped(left.length)} left`,
    ...(left.length > 0 ? ['what can never be booked: --give-up and its number'] : []),
  ];
}

export function removed({
  removed: table,
  forgotten,
}: {
  removed: string | null;
  forgotten: boolean;
}) {
  return [
    table === null
      ? 'nothing to do: the shadow was not on'
      : `the shadow of ${table} is off: the app goes on alone`,
    ...(forgotten ? ['what was adopted is forgotten; the ledger stays as it is'] : []),
  ];
}
