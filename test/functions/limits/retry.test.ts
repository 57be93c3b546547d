import { expect, test } from 'vitest';
import { deductAt, type Limit, limitAt } from '../../support/calls.ts';
import { raised, useDatabase } from '../../support/database.ts';
import { openAt } from '../../support/limits.ts';
import { us } from '../../support/time.ts';

const db = useDatabase();

test.each<[NonNullable<Limit['window']>, string | undefined]>([
  ['hour', '2024-03-30T13:00:00Z'],
  ['week', '2024-03-31T22:00:00Z'], // Monday, after the clocks have changed
  ['day', '2024-03-30T23:00:00Z'], // the next day, of 23 hours, begins before the clocks change
  ['period', '2024-04-04T22:00:00Z'],
  ['total', undefined],
])('PT429 of a limit per %s says when it can be tried again: %s', async (window, expected) => {
  const account = `per ${window}`;
  const now = us('2024-03-30T12:00Z');
  await openAt(db, account, now, { zone: 'Europe/Berlin', anchor: 5 });
  await limitAt(db, account, now, { id: 'limit', ceiling: 10, window });
  const error = await raised(deductAt(db, account, now, { key: 'over', amount: 11 }));
  expect(error).toMatchObject({ code: 'PT429' });
  expect(error.detail.retry_at).toBe(expected);
});
