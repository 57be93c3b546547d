import { grouped, plural } from '../../shell/format.ts';
import type { Choice } from './import.ts';
import type { Plan } from './plan.ts';

/** How far an adoption has come, for a line on the terminal. */
export class Progress {
  private readonly found: Plan;
  private readonly withTransactions: boolean;
  private readonly show: (line: () => string) => void;
  private readonly started = Date.now();
  private accounts = 0;
  private transactions = 0;

  constructor(found: Plan, { book }: Choice, show: (line: () => string) => void) {
    this.found = found;
    this.withTransactions = book === 'history';
    this.show = show;
  }

  /** Of the batch that is running. */
  imported(transactions: number) {
    this.transactions += transactions;
    this.show(() => this.line());
  }

  /** All of the transactions so far: those of a batch that was begun again were counted twice. */
  committed(accounts: number, transactions: bigint) {
    this.accounts += accounts;
    this.transactions = Number(transactions);
    this.show(() => this.line());
  }

  private line(): string {
    const { accounts, adopted, transactions } = this.found;
    const all = Number(accounts + adopted);
    const [done, whole] = this.withTransactions
      ? [this.accounts + this.transactions, all + Number(transactions)]
      : [this.accounts, all];
    const part = Math.min(1, done / Math.max(1, whole));
    const left = ((Date.now() - this.started) * (1 - part)) / Math.max(part, 0.0001);
    const rows = this.withTransactions
      ? `, ${plural(BigInt(this.transactions), 'transaction')}`
      : '';
    return `${grouped(this.accounts)} of ${grouped(all)} accounts${rows}, ${Math.floor(part * 100)} %, ${duration(left)} left`;
  }
}

function duration(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
}
