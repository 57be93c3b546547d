import type { Random } from '../random.ts';
import type { Arguments, Caller } from './calls.ts';

const hour = 3_600_000;
const day = 24 * hour;

/**
 * What happens to one account: calls of every function at rising moments, some of which are refused. The
 * moments are of the past, so that no clock is behind them.
 */
export async function writeHistory(
  caller: Caller,
  account_id: string,
  { below, pick }: Random,
  steps: number,
): Promise<Date> {
  let now = Date.UTC(2024, 0, 18 + below(6), below(24), 0, 0, below(1000));
  let key = 0;
  const spent: unknown[] = [];
  const grants: unknown[] = [];
  const holds: unknown[] = [];
  const call = (name: string, args: Arguments = {}) =>
    caller.call(name, new Date(now), { account_id, ...args });
  const keyed = (name: string, args: Arguments) => {
    key += 1;
    return call(name, { ...args, idempotency_key: `${name} ${key}` });
  };
  const some = (list: unknown[]) => list[Math.max(0, list.length - 1 - below(6))] ?? 1;
  const metadata = () => pick({}, {}, { page: below(9) });
  const ids = () => ({
    api_key_id: pick(null, 'key a', 'key b', 'key c'),
    operation: pick(null, 'search', 'execute', 'other'),
    run_id: pick(null, 'run 1', 'run 2'),
  });
  const amount = () => 1 + below(pick(5, 60, 200));

  const grant = async () => {
    const begins = pick(null, null, null, -day, hour, 3 * day, 20 * day, 800 * day);
    const lasts = pick(null, null, hour, 2 * day, 20 * day, 60 * day, 3000 * day);
    const lastsAs = pick('expires_at', 'expires_in');
    const from = now + Math.max(0, begins ?? 0);
    const answer = await keyed('grant_credits', {
      amount: 20 + below(150),
      source: pick('purchase', 'promotion', 'plan'),
      priority: pick(10, 100, 100, 200),
      operations: pick(null, null, ['search'], ['execute', 'search']),
      effective_at: begins === null ? null : new Date(now + begins).toISOString(),
      ...(lasts === null
        ? {}
        : lastsAs === 'expires_in'
          ? { expires_in: `${lasts / 1000} seconds` }
          : { expires_at: new Date(from + lasts).toISOString() }),
      ...pick({}, { paid_amount: below(5000), paid_currency: pick('eur', 'usd') }),
      metadata: metadata(),
    });
    if (answer) grants.push(answer.grant_id);
  };
  const deduct = async () => {
    const nothing = below(12) === 0;
    const asked = { amount: nothing ? 0 : amount(), ...ids(), metadata: metadata() };
    const answer = await keyed('deduct_credits', asked);
    if (answer?.transaction_id) spent.push(answer.transaction_id);
  };
  const batch = async () => {
    const deductions = Array.from({ length: 2 + below(3) }, () => {
      key += 1;
      const known = below(8) === 0 ? 1 : key;
      return { account_id, amount: amount(), idempotency_key: `batch ${known}`, ...ids() };
    });
    await caller.batch(new Date(now), deductions);
  };
  const hold = async () => {
    const expires_in = pick('1 hour', '2 hours', '1 day', '20 days', '40 days', '5 years');
    const asked = { amount: amount(), ...ids(), expires_in, metadata: metadata() };
    const answer = await keyed('hold_credits', asked);
    if (answer) holds.push(answer.hold_id);
  };
  const capture = async () => {
    const final = pick(true, false, false);
    const most = final && below(6) === 0 ? 0 : amount();
    const asked = { hold_id: some(holds), amount: most, final, metadata: metadata() };
    const answer = await keyed('capture_hold', asked);
    if (answer?.transaction_id) spent.push(answer.transaction_id);
  };
  const refund = () =>
    keyed('refund_credits', {
      transaction_id: some(spent),
      amount: pick(null, 1, 1 + below(40)),
      metadata: metadata(),
    });
  const revoke = () =>
    keyed('revoke_grant', {
      grant_id: some(grants),
      amount: pick(null, 1 + below(50)),
      on_spent: pick('clamp', 'debt'),
    });
  const limit = () => {
    const scope = pick('account', 'api_key', 'operation', 'run');
    const named = { account: null, api_key: 'key a', operation: 'search', run: 'run 1' }[scope];
    return call('set_limit', {
      limit_id: pick('one', 'two', 'three', 'four'),
      ceiling: pick(200, 2000, 5000),
      scope,
      scope_id: pick(null, named),
      window: pick('day', 'period', 'total'),
      overage: pick(0, 0, 50),
    });
  };
  const settings = () =>
    call('open_account', {
      overdraft_limit: pick(null, 0, 90, 300),
      ...(below(4) === 0 ? { time_zone: pick('UTC', 'Europe/Berlin', 'America/Havana') } : {}),
      ...(below(4) === 0 ? { anchor_day: pick(1, 15, 31) } : {}),
      metadata: pick(null, { plan: pick('small', 'large') }),
    });
  const actions: (() => Promise<unknown>)[] = [
    ...[grant, grant, grant, grant, grant, deduct, deduct, deduct, deduct, deduct, deduct, batch],
    ...[refund, refund, refund, hold, hold, hold, capture, capture, capture, revoke, limit],
    ...[settings, () => call('set_overdraft_limit', { overdraft_limit: pick(0, 90, 300) })],
    () => keyed('release_hold', { hold_id: some(holds) }),
    () => call('extend_hold', { hold_id: some(holds), expires_in: pick('3 days', '30 days') }),
    () => call('remove_limit', { limit_id: pick('one', 'two', 'three', 'four') }),
    () => call('settle_account'),
  ];
  await grant();
  for (let step = 1; step < steps; step += 1) {
    now += pick(0, 1, hour, hour, 7 * hour, 2 * day, 9 * day);
    await actions[below(actions.length)]?.();
  }
  return new Date(now);
}
