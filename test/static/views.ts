import type { ColumnRef, FuncCall, Node, SelectStmt } from 'libpg-query';
import { type Rule, when } from './rule.ts';
import { dotted, find, objects, relationName } from './tree.ts';

const isSelect = (node: object): node is SelectStmt => 'limitOption' in node;

/** Each select of a tree, the arms of unions too. */
const selectsOf = (tree: unknown): SelectStmt[] => objects(tree).filter(isSelect) as SelectStmt[];

const aggregates =
  /^(pg_catalog\.)?(count|sum|min|max|avg|every|bool_(and|or)|bit_(and|or)|\w+_agg)$/;

function isAggregate(node: object): boolean {
  if (!('FuncCall' in node)) return false;
  const { funcname, over } = node.FuncCall as FuncCall;
  return !over && aggregates.test(dotted(funcname));
}

/** The objects of a tree that `leave` does not leave out, with all that is below them. */
function above(tree: unknown, leave: (node: object) => boolean): Record<string, unknown>[] {
  if (typeof tree !== 'object' || tree === null) return [];
  if (Array.isArray(tree)) return tree.flatMap((each) => above(each, leave));
  if (leave(tree)) return [];
  const inner = Object.values(tree).flatMap((each) => above(each, leave));
  return [tree as Record<string, unknown>, ...inner];
}

const shape = (node: unknown) =>
  JSON.stringify(node, (key, value) => (key === 'location' ? undefined : value));

/** Of each view, its name and what `findings` says of its query. */
const ofViews =
  (findings: (query: Node | undefined) => string[]): Rule =>
  (sources) =>
    sources.flatMap(({ path, statements }) =>
      find(statements, 'ViewStmt').flatMap(({ view, query }) =>
        findings(query).map((what) => `${path}: ${view ? relationName(view) : ''}: ${what}`),
      ),
    );

/** A distributed planner can't push down a correlated subquery that always has one row. */
export const noLateralTotals = ofViews((query) =>
  find(query, 'RangeSubselect')
    .filter(({ lateral }) => lateral)
    .flatMap(({ subquery, alias }) => {
      const totals = selectsOf(subquery).slice(0, 1).flatMap(armsOf).filter(isTotal);
      return when(totals.length > 0, `${alias?.aliasname} aggregates without group by`);
    }),
);

const armsOf = (select: SelectStmt): SelectStmt[] =>
  select.larg && select.rarg ? [...armsOf(select.larg), ...armsOf(select.rarg)] : [select];

const isTotal = ({ groupClause, targetList, havingClause }: SelectStmt) =>
  !groupClause && above([targetList, havingClause], isSelect).some(isAggregate);

/** Nor does it take a function that is not immutable there; a cast or an operator can be one. */
export const onlyPlainValues = ofViews((query) =>
  selectsOf(query)
    .flatMap(({ valuesLists }) => find(valuesLists, 'List'))
    .flatMap(({ items }) => items ?? [])
    .flatMap((item) => Object.keys(item).filter((kind) => !/^(ColumnRef|A_Const)$/.test(kind)))
    .map((kind) => `values has a ${kind}`),
);

/** It knows no functional dependency on a primary key. */
export const groupedByAll = ofViews((query) =>
  selectsOf(query)
    .filter(({ groupClause }) => groupClause)
    .flatMap((select) => {
      const targets = find(select.targetList, 'ResTarget');
      const grouped = new Set(
        (select.groupClause ?? []).map((by) => {
          const place = 'A_Const' in by ? by.A_Const.ival?.ival : undefined;
          return shape(place === undefined ? by : targets[place - 1]?.val);
        }),
      );
      const leave = (node: object) =>
        isAggregate(node) || isSelect(node) || grouped.has(shape(node));
      return above([targets.map(({ val }) => val), select.havingClause], leave);
    })
    .flatMap((node) => ('ColumnRef' in node ? (node.ColumnRef as ColumnRef) : []))
    .map(({ fields }) => `${dotted(fields)} is not grouped by`),
);
