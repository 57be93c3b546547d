import type { Node } from 'libpg-query';
import { ofStatements, when } from './rule.ts';
import { isMigration, type Source } from './sources.ts';
import { dotted, find, relationName } from './tree.ts';

// What writes a grant knows its stored figures: the ledger's triggers, and what puts a head down.
const knows = /^sql\/(triggers\/|private\/(head|remainders|settlements)\.sql$)/;

const stored = /^[^.]+\.(remaining|last_entry_id)$/;

/** A tree without the queries in it, whose aliases are their own. */
function withoutInner(tree: unknown): unknown {
  if (typeof tree !== 'object' || tree === null) return tree;
  if (Array.isArray(tree)) return tree.map(withoutInner);
  // The sides of a union are queries, too; those of a join are not.
  const isUnion = 'op' in tree && tree.op !== 'SETOP_NONE' && 'larg' in tree;
  const isInner = (key: string) => key === 'SelectStmt' || (isUnion && /^[lr]arg$/.test(key));
  const kept = Object.entries(tree).filter(([key]) => !isInner(key));
  return Object.fromEntries(kept.map(([key, value]) => [key, withoutInner(value)]));
}

/** While a grant is its account's head, its row lags behind: only credits_private.remainders says what remains. */
export const readThroughRemainders = ofStatements(() => (node: Node, source: Source) => {
  if (isMigration(source) || knows.test(source.path)) return [];
  return find(node, 'SelectStmt').flatMap((select) => {
    const own = withoutInner(select);
    const aliases = find(own, 'RangeVar').flatMap((relation) =>
      relationName(relation) === 'credits_private.grants' ? (relation.alias?.aliasname ?? []) : [],
    );
    const columns = find(own, 'ColumnRef').map(({ fields }) => dotted(fields));
    const read = columns.filter(
      (column) => stored.test(column) && aliases.includes(column.split('.')[0] ?? ''),
    );
    return when(read.length > 0, `reads ${read.join(', ')} from grants`);
  });
});
