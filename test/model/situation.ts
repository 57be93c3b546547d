import { type Call, spends, type World } from './account.ts';
import { type Arguments, type Command, HOUR, type Step } from './commands.ts';
import { nextDue } from './settle.ts';

// What a command is in the history that it is thrown into.

export interface Situation {
  at: number;
  world: World;
  /** The calls so far, the latest last. */
  past: Call[];
  /** What the names of its accounts begin with. */
  name: string;
}

/** When a step takes place, after all that has been. */
export function momentOf({ wait }: Step, { at, world }: Situation): number {
  if (typeof wait === 'number') return at + wait * HOUR;
  const due = Math.min(...Object.values(world).map(nextDue));
  return due === Infinity ? at : Math.max(at, wait === 'due' ? due : due - 1);
}

export function toCall(
  { name, account, keyOf, spoilt, args: { back, begins, lasts, lastsAs, ...args } }: Command,
  now: Situation,
  key = `key ${now.past.length}`,
): Call {
  const latest = (n: number) => now.past[now.past.length - 1 - (n % now.past.length)];
  if (name === 'again')
    return latest(back) ?? { name: 'settle_account', args: { account_id: now.name } };

  const call: Arguments = { account_id: `${now.name} ${account}`, ...args };
  if (keyOf !== undefined && 'idempotency_key' in args)
    call.idempotency_key = latest(keyOf)?.args.idempotency_key;
  if ('idempotency_key' in args) call.idempotency_key ??= key;
  if (name === 'grant_credits') {
    call.effective_at = begins === null ? null : now.at + begins * HOUR;
    const isMoment = lastsAs === 'moment';
    const [from, length] = [call.effective_at ?? now.at, lasts === null ? null : lasts * HOUR];
    call.expires_at = isMoment && length !== null ? from + length : null;
    call.expires_in = isMoment ? null : length;
  }
  const chosen = <T>(list: T[] = []) => list[list.length - 1 - (back % list.length)];
  const known = now.world[call.account_id];
  if (name === 'refund_credits')
    call.transaction_id = chosen(known?.entries.filter(spends))?.transaction ?? 1;
  if (name === 'revoke_grant') call.grant_id = chosen(known?.grants)?.id ?? 1;
  if (name.endsWith('_hold'))
    call.hold_id = chosen(known?.holds.filter((hold) => hold.state === 'open'))?.id ?? 1;
  if (name === 'settle_due') delete call.account_id;
  if (name === 'deduct_credits_batch') {
    delete call.account_id;
    call.deductions = args.deductions.map(
      (one: Command, i: number) => toCall(one, now, `${key}.${i}`).args,
    );
  }
  for (const [argument, value] of Object.entries(spoilt ?? {}))
    if (argument in call) call[argument] = value;
  return { name, args: call };
}
