import { expect, test } from 'vitest';
import { useDatabase } from '../../support/database.ts';

const db = useDatabase();

test('what a dump writes of each view is the same view when it is restored', async () => {
  // This works on any server, without pg_dump, which writes what pg_get_viewdef says.
  const views = await db.query(
    `select oid::regclass::text as name from pg_class
     where relnamespace = 'credits'::regnamespace and relkind = 'v'`,
  );
  const definition = async (name: string): Promise<string> =>
    (await db.one('select pg_get_viewdef($1::regclass) as text', [name])).text;
  const changed: string[] = [];
  for (const { name } of views) {
    const before = await definition(name);
    await db.query(`create or replace view ${name} as ${before}`);
    if ((await definition(name)) !== before) changed.push(name);
  }
  expect(changed).toEqual([]);
});
