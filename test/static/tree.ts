import type { CreateFunctionStmt, Node, RangeVar, TypeName } from 'libpg-query';

type Kind = Node extends infer N ? (N extends N ? keyof N : never) : never;
type NodeOf<K extends Kind> = Extract<Node, Record<K, unknown>>[K];

const seen = new WeakMap<object, Record<string, unknown>[]>();

/** Every object of a tree, the outer before the inner. Kept: each rule walks the same trees. */
export function objects(tree: unknown): Record<string, unknown>[] {
  if (typeof tree !== 'object' || tree === null) return [];
  let all = seen.get(tree);
  if (!all) {
    const inner = Object.values(tree).flatMap(objects);
    all = Array.isArray(tree) ? inner : [tree as Record<string, unknown>, ...inner];
    seen.set(tree, all);
  }
  return all;
}

// Where a field can hold but one kind of node, the tree has it without the kind's name.
const bare: Partial<Record<Kind, (node: Record<string, unknown>) => boolean>> = {
  OnConflictClause: ({ action }) => String(action).startsWith('ONCONFLICT_'),
  RangeVar: (node) => 'relname' in node,
  TypeName: (node) => 'names' in node && 'typemod' in node,
};

/** Every node of a kind in a tree. */
export function find<K extends Kind>(tree: unknown, kind: K): NodeOf<K>[] {
  const isKind = bare[kind];
  return objects(tree).flatMap((node) => {
    if (isKind) return isKind(node) ? [node as NodeOf<K>] : [];
    return kind in node ? [node[kind] as NodeOf<K>] : [];
  });
}

/** The arguments of a `create function`'s option. */
export const option = (node: CreateFunctionStmt, name: string): Node[] =>
  find(node.options, 'DefElem').flatMap((o) => (o.defname === name && o.arg ? [o.arg] : []));

export const dotted = (names: Node[] | undefined): string =>
  (names ?? []).map((n) => ('String' in n ? n.String.sval : '*')).join('.');

export const calls = (tree: unknown) =>
  find(tree, 'FuncCall').map(({ funcname }) => dotted(funcname));

export const relationName = ({ schemaname, relname }: RangeVar) =>
  [schemaname, relname].filter(Boolean).join('.');

export const typeName = ({ names, arrayBounds }: TypeName) =>
  dotted(names) + '[]'.repeat(arrayBounds?.length ?? 0);
