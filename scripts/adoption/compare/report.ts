import { formatTable, grouped, orDash, plural, printable } from '../../shell/format.ts';
import type { ShadowState } from '../shadow/shadow.ts';
import type { Sample } from './compare.ts';

/** What a person reads of both books. */
export function describeSample(sample: Sample): string[] {
  const { accounts, agree, differ, off_by, not_adopted, worst, missing } = sample;
  const parts = [
    plural(agree, 'agrees', 'agree'),
    differ > 0n ? `${plural(differ, 'differs', 'differ')} by ${grouped(off_by)} in all` : [],
    not_adopted > 0n ? `${plural(not_adopted, 'is', 'are')} not adopted` : [],
  ].flat();
  const lines = [
    describeShadow(sample.shadow),
    `${plural(accounts, 'account')}: ${parts.join(', ')}`,
    ...describeMirror(sample),
  ];
  if (missing.length > 0) lines.push(...describeMissing(sample));
  return worst.length === 0 ? lines : [...lines, '', ...describeWorst(sample)];
}

export function describeShadow({ on, table, since, why }: ShadowState): string {
  return on ? `the shadow of ${table} is on, since ${since}` : `the shadow is off: ${why}`;
}

export function describeMirror({ mirrored, failures }: Pick<Sample, 'mirrored' | 'failures'>) {
  const lines = failures.map(({ error, count }) => `  ${grouped(count)}: ${error}`);
  const count = failures.reduce((sum, failure) => sum + failure.count, 0n);
  return [
    `${plural(mirrored, 'write')} mirrored, ${plural(count, 'failure')}${count > 0n ? ', which pg-credits shadow retry books, or says why not:' : ''}`,
    ...lines,
  ];
}

export function describeMissing({ not_adopted, missing }: Sample): string[] {
  const rest = not_adopted > BigInt(missing.length) ? ', …' : '';
  return [
    `not adopted: ${missing.map(printable).join(', ')}${rest}: run pg-credits adopt again, which takes seconds`,
  ];
}

function describeWorst({ worst, differ }: Sample): string[] {
  const rows = worst.map((each) => [
    each.account_id,
    orDash(each.balance),
    grouped(each.transactions),
    each.trust ?? '-',
    orDash(each.ours),
    orDash(each.difference),
    each.failures === 0n ? '-' : grouped(each.failures),
  ]);
  const more = differ - BigInt(worst.length);
  return [
    ...formatTable(
      ['account', 'balance', 'transactions', 'trusted', 'ours', 'difference', 'failures'],
      rows,
      ['left', 'right', 'right', 'left', 'right', 'right', 'right'],
    ),
    ...(more > 0n ? [`… and ${grouped(more)} more`] : []),
  ];
}
