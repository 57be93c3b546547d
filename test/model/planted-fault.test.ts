// The model must find a fault and report it briefly: one function is made faulty, so that what
// holds for ours no longer holds. The seed is fixed, because this test is about the faults.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createDatabase, type Database } from '../support/database.ts';
import { agreement, connect } from './agreement.ts';

const faults: [string, string, string, string][] = [
  [
    'a refund that goes to the newest grant',
    'refund_target',
    'grant_id := p_grant_id',
    'grant_id := p_account.last_grant_id',
  ],
  ['a burn-down order without priority', 'draw', 'order by g.priority, ', 'order by '],
  ['credit that is not gone at the instant of its expiry', 'settle', 'd.at <= p_at', 'd.at < p_at'],
];

test.each(faults)(
  'the model finds %s',
  async (_what, name, right, wrong) => {
    const db = await createDatabase();
    try {
      await plant(db, name, right, wrong);
      const property = agreement(db, await connect(db), 20);
      const { failed, counterexample } = await fc.check(property, { seed: 4 });
      expect(failed).toBe(true);
      const commands = counterexample?.[0].flatMap((step) => step.commands) ?? [];
      expect(commands.length, JSON.stringify(commands)).toBeLessThanOrEqual(8);
    } finally {
      await db.drop();
    }
  },
  240_000,
);

async function plant(db: Database, name: string, right: string, wrong: string): Promise<void> {
  const { body } = await db.one(
    `select pg_get_functiondef(p.oid) as body from pg_catalog.pg_proc as p
     where p.pronamespace = 'credits_private'::regnamespace and p.proname = $1`,
    [name],
  );
  expect(body).toContain(right);
  await db.query(body.replace(right, wrong));
}
