import type { Random } from '../random.ts';
import type { Arguments, Caller } from './calls.ts';

const hour = 3_600_000;
const day = 24 * hour;

/**
 * What happens to one account: calls of every function at rising moments, some of which are refused. All
 * moments are in the past, so that no clock is behind them. Returns the last moment.
 */
export async function writeHistory(
  caller: Caller,
  account_id: string,
  random: Random,
  steps: number,
): Promise<Date> {
  const history = new History(caller, account_id, random);
  await history.grant();
  for (let step = 1; step < steps; step += 1) {
    history.now += random.pick(0, 1, hour, hour, 7 * hour, 2 * day, 9 * day);
    await history.act();
  }
  return new Date(history.now);
}

/** Each draws its arguments in the order in which they stand here: the same seed is the same history. */
class History {
  now: number;
  private readonly caller: Caller;
  private readonly account_id: string;
  private readonly below: Random['below'];
  private readonly pick: Random['pick'];
  private readonly spent: unknown[] = [];
  private readonly grants: unknown[] = [];
  private readonly holds: unknown[] = [];
  private key = 0;

  constructor(caller: Caller, account_id: string, { below, pick }: Random) {
    this.caller = caller;
    this.account_id = account_id;
    this.below = below;
    this.pick = pick;
    this.now = Date.UTC(2024, 0, 18 + below(6), below(24), 0, 0, below(1000));
  }

  private call(name: string, args: Arguments = {}) {
    return this.caller.call(name, new Date(this.now), { account_id: this.account_id, ...args });
  }

  private keyed(name: string, args: Arguments) {
    this.key += 1;
    return this.call(name, { ...args, idempotency_key: `${name} ${this.key}` });
  }

  private some(list: unknown[]) {
    return list[Math.max(0, list.length - 1 - this.below(6))] ?? 1;
  }

  private metadata() {
    return this.pick({}, {}, { page: this.below(9) });
  }

  private ids() {
    return {
      api_key_id: this.pick(null, 'key a', 'key b', 'key c'),
      operation: this.pick(null, 'search', 'execute', 'other'),
      run_id: this.pick(null, 'run 1', 'run 2'),
    };
  }

  private amount() {
    return 1 + this.below(this.pick(5, 60, 200));
  }

  async grant() {
    const begins = this.pick(null, null, null, -day, hour, 3 * day, 20 * day, 800 * day);
    const lasts = this.pick(null, null, hour, 2 * day, 20 * day, 60 * day, 3000 * day);
    const lastsAs = this.pick('expires_at', 'expires_in');
    const from = this.now + Math.max(0, begins ?? 0);
    const answer = await this.keyed('grant_credits', {
      amount: 20 + this.below(150),
      source: this.pick('purchase', 'promotion', 'plan'),
      priority: this.pick(10, 100, 100, 200),
      operations: this.pick(null, null, ['search'], ['execute', 'search']),
      effective_at: begins === null ? null : new Date(this.now + begins).toISOString(),
      ...(lasts === null
        ? {}
        : lastsAs === 'expires_in'
          ? { expires_in: `${lasts / 1000} seconds` }
          : { expires_at: new Date(from + lasts).toISOString() }),
      ...this.pick({}, { paid_amount: this.below(5000), paid_currency: this.pick('eur', 'usd') }),
      metadata: this.metadata(),
    });
    if (answer) this.grants.push(answer.grant_id);
  }

  async deduct() {
    const nothing = this.below(12) === 0;
    const asked = { amount: nothing ? 0 : this.amount(), ...this.ids(), metadata: this.metadata() };
    const answer = await this.keyed('deduct_credits', asked);
    if (answer?.transaction_id) this.spent.push(answer.transaction_id);
  }

  async batch() {
    const deductions = Array.from({ length: 2 + this.below(3) }, () => {
      this.key += 1;
      const known = this.below(8) === 0 ? 1 : this.key;
      return {
        account_id: this.account_id,
        amount: this.amount(),
        idempotency_key: `batch ${known}`,
        ...this.ids(),
      };
    });
    await this.caller.batch(new Date(this.now), deductions);
  }

  async hold() {
    const expires_in = this.pick('1 hour', '2 hours', '1 day', '20 days', '40 days', '5 years');
    const asked = { amount: this.amount(), ...this.ids(), expires_in, metadata: this.metadata() };
    const answer = await this.keyed('hold_credits', asked);
    if (answer) this.holds.push(answer.hold_id);
  }

  async capture() {
    const final = this.pick(true, false, false);
    const most = final && this.below(6) === 0 ? 0 : this.amount();
    const asked = {
      hold_id: this.some(this.holds),
      amount: most,
      final,
      metadata: this.metadata(),
    };
    const answer = await this.keyed('capture_hold', asked);
    if (answer?.transaction_id) this.spent.push(answer.transaction_id);
  }

  refund() {
    return this.keyed('refund_credits', {
      transaction_id: this.some(this.spent),
      amount: this.pick(null, 1, 1 + this.below(40)),
      metadata: this.metadata(),
    });
  }

  revoke() {
    return this.keyed('revoke_grant', {
      grant_id: this.some(this.grants),
      amount: this.pick(null, 1 + this.below(50)),
      on_spent: this.pick('clamp', 'debt'),
    });
  }

  limit() {
    const scope = this.pick('account', 'api_key', 'operation', 'run');
    const named = { account: null, api_key: 'key a', operation: 'search', run: 'run 1' }[scope];
    return this.call('set_limit', {
      limit_id: this.pick('one', 'two', 'three', 'four'),
      ceiling: this.pick(200, 2000, 5000),
      scope,
      scope_id: this.pick(null, named),
      window: this.pick('hour', 'day', 'week', 'period', 'total'),
      overage: this.pick(0, 0, 50),
    });
  }

  settings() {
    return this.call('open_account', {
      overdraft_limit: this.pick(null, 0, 90, 300),
      ...(this.below(4) === 0
        ? { time_zone: this.pick('UTC', 'Europe/Berlin', 'America/Havana') }
        : {}),
      ...(this.below(4) === 0 ? { anchor_day: this.pick(1, 15, 31) } : {}),
      metadata: this.pick(null, { plan: this.pick('small', 'large') }),
    });
  }

  /** One call or batch; those that stand here more than once come more often. */
  async act(): Promise<void> {
    const { pick } = this;
    const actions: (() => Promise<unknown>)[] = [
      ...[this.grant, this.grant, this.grant, this.grant, this.grant],
      ...[this.deduct, this.deduct, this.deduct, this.deduct, this.deduct, this.deduct],
      ...[this.batch, this.refund, this.refund, this.refund, this.hold, this.hold, this.hold],
      ...[this.capture, this.capture, this.capture, this.revoke, this.limit, this.settings],
      () => this.call('set_overdraft_limit', { overdraft_limit: pick(0, 90, 300) }),
      () => this.keyed('release_hold', { hold_id: this.some(this.holds) }),
      () => {
        const hold_id = this.some(this.holds);
        return this.call('extend_hold', { hold_id, expires_in: pick('3 days', '30 days') });
      },
      () => this.call('remove_limit', { limit_id: pick('one', 'two', 'three', 'four') }),
      () => this.call('settle_account'),
    ];
    await actions[this.below(actions.length)]?.call(this);
  }
}
