import pg from 'pg';

export type Arguments = Record<string, unknown>;

/** Calls the ledger's functions at given moments, with defaults for omitted arguments. */
export interface Caller {
  /** The answer; undefined if the call was refused, as a caller's may be. */
  call(name: string, at: Date, args: Arguments): Promise<Arguments | undefined>;
  batch(at: Date, deductions: Arguments[]): Promise<void>;
}

// Of two functions the name with _at is taken: sql/private/calls_in_flight.sql.
const privateNames: Record<string, string> = { capture_hold: 'capture' };

export async function callerOf(client: pg.Client): Promise<Caller> {
  const defaults = await readDefaults(client);
  const attempt = async (text: string, values: unknown[]): Promise<Arguments | undefined> => {
    try {
      return (await client.query(text, values)).rows[0];
    } catch (error) {
      if (error instanceof pg.DatabaseError && /^(PT4|22023)/.test(error.code ?? ''))
        return undefined;
      throw error;
    }
  };
  return {
    call(name, at, args) {
      const values = [...Object.values(args), at.toISOString()];
      const named = Object.keys(args).map((key, i) => `p_${key} => $${i + 1}`);
      const rest = (defaults.get(name) ?? []).filter(({ key }) => !(key in args));
      const all = [
        ...named,
        ...rest.map(({ key, value }) => `p_${key} => ${value}`),
        `p_at => $${values.length}`,
      ];
      const private_ = privateNames[name] ?? `${name}_at`;
      return attempt(`select * from credits_private.${private_}(${all.join(', ')})`, values);
    },
    async batch(at, deductions) {
      const text = 'select * from credits_private.deduct_batch($1, false, $2)';
      await attempt(text, [JSON.stringify(deductions), at.toISOString()]);
    },
  };
}

/** The arguments of each public function that have a default, and that default in SQL. */
async function readDefaults(client: pg.Client) {
  const { rows } = await client.query(`
    select p.proname as name, substr(p.proargnames[n], 3) as key,
      pg_catalog.pg_get_function_arg_default(p.oid, n) as value
    from pg_catalog.pg_proc as p, pg_catalog.generate_series(1, p.pronargs::int) as n
    where p.pronamespace = 'credits'::regnamespace and n > p.pronargs - p.pronargdefaults`);
  const defaults = new Map<string, { key: string; value: string }[]>();
  for (const { name, key, value } of rows)
    defaults.set(name, [...(defaults.get(name) ?? []), { key, value }]);
  return defaults;
}
