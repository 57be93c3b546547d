import type { Database } from '../support/database.ts';

// What to pass to a public function, by its parameters in the catalogue.

/** Texts that are something else to somebody: SQL, a format, a path, a document, a terminal. */
export const hostile = [
  `'; drop table credits_private.accounts; --`,
  `''); select credits.grant_credits('x', 1, 'x'); --`,
  `" or "1"="1`,
  `$$; raise exception 'x'; $$`,
  `$1 $2 :name @name {} ?`,
  `\\'; \\x41 \\u0041 \\`,
  `%s %I %L %1$s %% %`,
  `%_ like`,
  `credits_private.accounts`,
  `(select balance from credits_private.accounts)`,
  `$.** ? (@ == "x")`,
  `{"account_id": "other", "amount": 1}`,
  `{a,"b",NULL}`,
  `(1,2,)`,
  `null`,
  ` leading and trailing `,
  `\n\r\t\b\u001b[31m\u0007`,
  `\u202eabc\u200f\u2066\u061c`,
  `e\u0301 \u00e9 \ud83d\udc68\u200d\ud83d\udc69\u200d\ud83d\udc67 \uff07`,
  `\u2028\u2029\ufeff\u00a0`,
  `forgotten 1`,
  `2024-01-01`,
  `infinity`,
];

export interface Parameter {
  name: string;
  type: string;
  /** Whether a value of its type has a collation. */
  isCollated: boolean;
  /** As an expression. */
  default: string | null;
}
export interface PublicFunction {
  name: string;
  parameters: Parameter[];
}
export const publicFunctions = (db: Database): Promise<PublicFunction[]> =>
  db.query(`
    select proname as name, (
      select jsonb_agg(jsonb_build_object('name', p.name, 'type', format_type(p.type, null),
        'isCollated', t.typcollation <> 0,
        'default', pg_get_function_arg_default(f.oid, p.n::int)) order by p.n)
      from unnest(proargnames[:pronargs], proargtypes::oid[])
        with ordinality as p (name, type, n)
      join pg_type as t on t.oid = p.type
    ) as parameters
    from pg_proc as f where pronamespace = 'credits'::regnamespace order by 1`);

/** Words of ours, of which one is meant: any other is refused. */
export const choices: Record<string, string> = {
  p_on_spent: 'clamp',
  p_scope: 'api_key',
  p_time_zone: 'UTC',
  p_window: 'total',
};
/** Values that fit the rest. A parameter that is added has to be here, or be a text or a document. */
const values: Record<string, unknown> = {
  p_all_or_nothing: true,
  p_anchor_day: 1,
  p_at: null,
  p_final: false,
  p_overage: 0,
  p_priority: 1,
  p_effective_at: null,
  p_expires_at: null,
  p_expires_in: '2 hours',
  p_grant_id: 1,
  p_hold_id: 1,
  p_scale: 0,
  p_transaction_id: 3,
  p_max_accounts: 1,
};
const isText = ({ type }: Parameter) => ['text', 'text[]', 'jsonb'].includes(type);
export const isFree = (each: Parameter) =>
  isText(each) && !(each.name in choices) && !/^p_(account_id|deductions)$/.test(each.name);

export function argumentOf(each: Parameter, account: string, text: string): unknown {
  if (each.name === 'p_account_id') return account;
  if (each.name === 'p_deductions')
    return JSON.stringify([{ account_id: account, amount: 1, idempotency_key: text }]);
  if (each.name in choices) return choices[each.name];
  if (isText(each))
    return { text, 'text[]': [text], jsonb: { [text]: text } }[each.type as 'text'] ?? text;
  if (each.type === 'bigint' && !(each.name in values)) return 1;
  if (!(each.name in values))
    throw new Error(`no value for ${each.name}: give it one in test/security/arguments.ts`);
  return values[each.name];
}
