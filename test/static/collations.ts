import type { FunctionParameter, Node } from 'libpg-query';
import { isDefiner, ofRoutines } from './rule.ts';
import { dotted, find, typeName } from './tree.ts';

// A type that does not stand here is taken for one that has a collation.
const hasNone =
  /^(pg_catalog\.)?(int[248]|bigint|bool|boolean|numeric|jsonb|date|interval|timestamptz?)$/;

const isText = ({ argType }: FunctionParameter) =>
  find([argType], 'TypeName').some((t) => !hasNone.test(typeName(t).replace('[]', '')));

/** What a statement uses without `collate "default"`: `p_x`, `f.p_x`, `$1`. */
function bareNames(statement: Node): string[] {
  const collated = find(statement, 'CollateClause')
    .filter(({ collname }) => /^(pg_catalog\.)?default$/.test(dotted(collname)))
    .flatMap(({ arg }) => (arg ? Object.values(arg) : []));
  return [
    ...find(statement, 'ColumnRef').map((ref) => ({ ref, name: dotted(ref.fields) })),
    ...find(statement, 'ParamRef').map((ref) => ({ ref, name: `$${ref.number}` })),
  ].flatMap(({ ref, name }) => (collated.includes(ref) ? [] : name.replace(/^.*\./, '')));
}

/**
 * A text argument has the collation of the caller's expression, and with it every text variable of
 * the function: by that collation, `a.account_id = p_account_id` finds other accounts.
 */
export const onlyDefaultCollation = ofRoutines(() => ({ node, inputs, statements, texts }) => {
  if (!isDefiner(node)) return [];
  const names = inputs.flatMap((input, i) =>
    isText(input) ? [input.name ?? '', `$${i + 1}`] : [],
  );
  const bare = statements.flatMap(bareNames).filter((name) => names.includes(name));
  return [...new Set([...bare, ...texts])].map((name) => `${name} is not under collate "default"`);
});
