import type { Database } from '../support/database.ts';

export interface Routine {
  name: string;
  isTrigger: boolean;
  types: string[];
}

export const routinesOf = (db: Database, ...schemas: string[]): Promise<Routine[]> =>
  db.query(
    `select format('%I.%I', pronamespace::regnamespace, proname) as name,
       prorettype = 'trigger'::regtype as "isTrigger",
       array(select format_type(t, null) from unnest(proargtypes) as t) as types
     from pg_proc where pronamespace::regnamespace::text = any ($1) order by 1`,
    [schemas],
  );

/** Values that fit by type; of a type of ours, which a caller could not even name, an untyped null. */
const values: Record<string, string> = {
  bigint: '1',
  'bigint[]': `'{1}'`,
  boolean: 'true',
  bytea: `'\\x00'`,
  date: `'2024-01-01'`,
  integer: '1',
  interval: `'1 hour'`,
  jsonb: `'{}'`,
  text: `'acme'`,
  'text[]': `'{acme}'`,
  'timestamp with time zone': `'2024-01-01Z'`,
};

export const callOf = ({ name, types }: Routine): string =>
  `select ${name}(${types.map((type) => values[type] ?? 'null').join(', ')})`;
