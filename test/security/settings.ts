import type pg from 'pg';

// Whatever a session may set, at values that it has no reason for.

/** Left out: what ends a session at its first error, lets nobody write, or is set by connecting. */
const leftOut =
  /^(exit_on_error|default_transaction_read_only|transaction_.*|local_preload_libraries)$/;

/** Postgres does not tell the possible values of these. Add any setting that is missing here. */
const words: Record<string, string[]> = {
  application_name: [`'; --`],
  client_encoding: ['LATIN1', 'UTF8', 'WIN1252'],
  createrole_self_grant: ['set, inherit', ''],
  datestyle: ['German, DMY', 'SQL, MDY', 'Postgres, YMD', 'SQL, DMY', 'ISO, DMY'],
  default_table_access_method: ['heap'],
  default_tablespace: ['pg_default', ''],
  default_text_search_config: ['simple'],
  lc_monetary: ['C'],
  lc_numeric: ['C'],
  lc_time: ['C'],
  'plpgsql.extra_errors': ['all', 'none'],
  'plpgsql.extra_warnings': ['all', 'none'],
  restrict_nonsystem_relation_kind: ['view, foreign-table', ''],
  search_path: ['', 'pg_temp, pg_catalog', 'credits_private, credits, public', 'nowhere'],
  temp_tablespaces: ['pg_default', ''],
  timezone: ['<-23:59>23:59', 'Pacific/Apia', '<+13:37>-13:37', 'Africa/Monrovia'],
  timezone_abbreviations: ['Australia', 'India', 'Default'],
};

/** With the largest values of these settings, a plan would take for ever. */
const most: Record<string, string> = {
  from_collapse_limit: '12',
  geqo_generations: '2',
  geqo_pool_size: '2',
  join_collapse_limit: '12',
};

interface Setting {
  name: string;
  vartype: 'bool' | 'enum' | 'integer' | 'real' | 'string';
  enumvals: string[] | null;
  min: string;
  max: string;
  boot: string;
}

/** In this many rounds, every setting but one or two takes each of its values. */
export const rounds = [0, 1, 2, 3, 4, 5, 6, 7];

function oddValue({ name, vartype, enumvals, min, max, boot }: Setting, round: number): string {
  const values = {
    bool: ['off', 'on'],
    enum: enumvals ?? [],
    integer: [min, most[name] ?? max, boot],
    real: [min, max, boot],
    string: words[name.toLowerCase()] ?? [],
  }[vartype];
  const value = values[round % values.length];
  if (value === undefined) throw new Error(`no value for ${name}: give it one in settings.ts`);
  return value;
}

/** Sets everything that the session may set. Returns what it has set, by name. */
export async function unsettle(client: pg.Client, round: number, except: string[] = []) {
  // PL/pgSQL has settings of its own, which exist once it is loaded.
  await client.query('do $$ begin end $$');
  const { rows } = await client.query<Setting>(
    `select name, vartype, enumvals, min_val as min, max_val as max, boot_val as boot
     from pg_catalog.pg_settings where context = 'user' order by name`,
  );
  const settings = rows.filter(({ name }) => !leftOut.test(name) && !except.includes(name));
  const values = Object.fromEntries(settings.map((each) => [each.name, oddValue(each, round)]));
  await client.query(
    `select pg_catalog.set_config(s.key, s.value, false) from pg_catalog.jsonb_each_text($1) as s`,
    [JSON.stringify(values)],
  );
  return values;
}
