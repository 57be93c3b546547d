import { expect, test } from 'vitest';
import { type Files, missingPlaces, promisesIn, readFiles, strayChecks } from './promises.ts';

const files = readFiles();

test('every promise has its four places: claim, enforcement, detection, proof', () => {
  expect(promisesIn(files).length).toBeGreaterThan(25);
  expect(missingPlaces(files)).toEqual([]);
});

test('every check tells of its own promise, and credits.discrepancies has it', () => {
  expect(strayChecks(files)).toEqual([]);
});

const name = 'a_hold_is_resolved_once';
const planted = (change: (files: Files) => void) => {
  const copy = new Map(files);
  change(copy);
  return copy;
};
const without = (places: RegExp) =>
  planted((copy) => {
    for (const [path, text] of copy)
      if (places.test(path)) copy.set(path, text.replaceAll(name, ''));
  });

test.each([
  ['claim, in README.md or docs/', without(/^(README|docs)/)],
  ['enforcement, in migrations/ or sql/', without(/^(migrations|sql\/(?!views|checks))/)],
  ['detection, in sql/checks/', planted((copy) => copy.delete(`sql/checks/${name}.sql`))],
  ['proof, in test/invariants/', planted((copy) => copy.delete(`test/invariants/${name}.test.ts`))],
])('a promise without its %s is found', (place, broken) => {
  expect(missingPlaces(broken)).toEqual([`${name} has no ${place}`]);
});

test('a promise that only README makes is found in no other place', () => {
  const broken = planted((copy) =>
    copy.set('README.md', '## What it guarantees\n`a_new_promise_holds`\n## Next\n'),
  );
  expect(missingPlaces(broken).filter((gap) => gap.startsWith('a_new_promise'))).toHaveLength(3);
});

test('a promise that only a guard names is found in no other place', () => {
  const guard = "execute function credits_private.refuse_change(\n'a_new_promise_holds', 'holds');";
  const broken = planted((copy) => copy.set('sql/triggers/holds.sql', guard));
  expect(missingPlaces(broken).filter((gap) => gap.startsWith('a_new_promise'))).toHaveLength(3);
});

const check = `sql/checks/${name}.sql`;
const edited = (path: string, from: string, to: string) =>
  planted((copy) => copy.set(path, (copy.get(path) ?? '').replace(from, to)));

test.each([
  [`${check} makes no view`, edited(check, `check_${name}`, 'check_holds')],
  [`${check} tells of a_hold`, edited(check, `'${name}' as`, "'a_hold' as")],
  [
    `credits.discrepancies leaves out ${name}`,
    edited('sql/views/discrepancies.sql', `check_${name}`, 'check_holds'),
  ],
])('a stray check is found: %s', (finding, broken) => {
  expect(strayChecks(broken)).toEqual([expect.stringContaining(finding)]);
});
