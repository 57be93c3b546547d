import type { Cause } from './causes.ts';
import {
  type AccountDiagnosis,
  type Activity,
  differenceOf,
  disagrees,
  type Surface,
} from './diagnosis.ts';

export interface SurfaceTotal {
  surface: string;
  unit: Surface['unit'];
  says: bigint;
  should: bigint;
  over: bigint;
  under: bigint;
  /** That disagree. */
  accounts: bigint;
  /** That have none, and are not compared. */
  without: bigint;
}

export type CauseTotal = Cause & { accounts: bigint };

export interface Totals extends Activity {
  accounts: bigint;
  disagreeing: bigint;
  surfaces: SurfaceTotal[];
  causes: CauseTotal[];
}

export const newTotals = (): Totals => ({
  accounts: 0n,
  disagreeing: 0n,
  transactions: 0n,
  debits: 0n,
  debited: 0n,
  refunded: 0n,
  first_at: null,
  last_at: null,
  surfaces: [],
  causes: [],
});

/** No surface is mapped, or no account has any: nothing can disagree, and nothing was found to agree. */
export const comparesNothing = ({ surfaces, accounts }: Totals): boolean =>
  surfaces.every(({ without }) => without === accounts);

export function addAccount(totals: Totals, account: AccountDiagnosis): void {
  totals.accounts += 1n;
  if (disagrees(account)) totals.disagreeing += 1n;
  for (const name of ['transactions', 'debits', 'debited', 'refunded'] as const)
    totals[name] += account[name];
  const { first_at, last_at } = account;
  if (first_at && (!totals.first_at || first_at < totals.first_at)) totals.first_at = first_at;
  if (last_at && (!totals.last_at || last_at > totals.last_at)) totals.last_at = last_at;
  for (const surface of account.surfaces) addSurface(totals.surfaces, surface);
  for (const cause of account.causes) addCause(totals.causes, cause);
}

function addSurface(totals: SurfaceTotal[], { surface, unit, says, should }: Surface): void {
  let total = totals.find((each) => each.surface === surface);
  if (!total) {
    total = { surface, unit, says: 0n, should: 0n, over: 0n, under: 0n, accounts: 0n, without: 0n };
    totals.push(total);
  }
  if (says === null) {
    total.without += 1n;
    return;
  }
  total.says += says;
  total.should += should;
  const difference = differenceOf({ surface, unit, says, should });
  if (difference > 0n) total.over += difference;
  else total.under -= difference;
  if (difference !== 0n) total.accounts += 1n;
}

function addCause(totals: CauseTotal[], cause: Cause): void {
  const total = totals.find((each) => each.surface === cause.surface && each.cause === cause.cause);
  if (!total) {
    totals.push({ ...cause, accounts: 1n });
    return;
  }
  total.accounts += 1n;
  total.effect += cause.effect;
  total.rows = sumOf(total.rows, cause.rows);
  if (cause.once !== undefined) total.once = sumOf(total.once ?? null, cause.once);
}

const sumOf = (a: bigint | null, b: bigint | null) => (a === null || b === null ? null : a + b);

/** By surface, in the order of the surfaces; the greatest effect first. */
export function sortCauses({ surfaces, causes }: Totals): void {
  const place = (cause: Cause) => {
    const at = surfaces.findIndex(({ surface }) => surface === cause.surface);
    return at < 0 ? surfaces.length : at;
  };
  causes.sort((a, b) => place(a) - place(b) || Number(size(b) - size(a)));
}

const size = ({ effect }: Cause) => (effect < 0n ? -effect : effect);

/** Those with the most drift; of as much, the first. */
export class Top {
  readonly accounts: AccountDiagnosis[] = [];
  private readonly most: number;

  constructor(most: number) {
    this.most = most;
  }

  add(account: AccountDiagnosis): void {
    if (!disagrees(account)) return;
    const last = this.accounts.at(-1);
    if (this.accounts.length === this.most && (!last || last.drift >= account.drift)) return;
    const at = this.accounts.findIndex((each) => each.drift < account.drift);
    this.accounts.splice(at < 0 ? this.accounts.length : at, 0, account);
    this.accounts.length = Math.min(this.accounts.length, this.most);
  }
}
