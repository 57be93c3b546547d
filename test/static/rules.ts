import type { Constraint, Node } from 'libpg-query';
import { onlyDefaultCollation } from './collations.ts';
import { noBackslashes } from './literals.ts';
import { readThroughRemainders } from './remainders.ts';
import { isDefiner, ofRoutines, ofStatements, type Rule, when } from './rule.ts';
import { definitions, isMigration, type Routine } from './sources.ts';
import { calls, dotted, find, option, relationName, typeName } from './tree.ts';
import { groupedByAll, noLateralTotals, onlyPlainValues } from './views.ts';

/** The tables and views that a statement reads or writes; a locking clause names them once more. */
function relations(node: Node) {
  const locked = new Set(find(node, 'LockingClause').flatMap((c) => find(c, 'RangeVar')));
  return find(node, 'RangeVar').filter((relation) => !locked.has(relation));
}

const searchPath = ofRoutines(() => ({ node }) => {
  const set = find(option(node, 'set'), 'VariableSetStmt').find((s) => s.name === 'search_path');
  const path = find(set?.args, 'A_Const').map(({ sval }) => sval?.sval);
  return when(path.length !== 1 || path[0] !== 'pg_temp', 'no set search_path = pg_temp');
});

// A session keeps its plans until statistics are taken again; of a table of a row or two, they would
// read all of it for as long.
const byIndex = ofRoutines(() => ({ name, node }) => {
  const set = find(option(node, 'set'), 'VariableSetStmt').find((s) => s.name === 'enable_seqscan');
  const value = find(set?.args, 'A_Const').map(({ sval }) => sval?.sval);
  return when(name.startsWith('credits.') && value[0] !== 'off', 'no set enable_seqscan = off');
});

// Postgres runs a view's functions as its reader, who may not call what these call in turn. So it
// does with those of a private view that a public one reads.
const securityDefiner = ofRoutines((sources) => {
  const views = sources.flatMap(({ statements }) => find(statements, 'ViewStmt'));
  const open = views.filter(({ view }) => view?.schemaname === 'credits');
  const read = new Set(open.flatMap(({ query }) => find(query, 'RangeVar').map(relationName)));
  const behind = views.filter(({ view }) => view && read.has(relationName(view)));
  const called = new Set(calls([...open, ...behind]));
  return ({ name, node }) => {
    if (name.startsWith('credits.'))
      return when(!isDefiner(node), 'is public, not security definer');
    return when(isDefiner(node) && !called.has(name), 'is security definer for no public view');
  };
});

/** `sql/functions/f.sql` begins with `credits.f`, and has nothing private. */
const itself: Rule = (sources) =>
  sources.flatMap(({ path, text, statements, routines }) => {
    const [, name] = /^sql\/functions\/(\w+)\.sql$/.exec(path) ?? [];
    if (!name) return when(path.startsWith('sql/functions/'), path);
    const isFirst = text.startsWith(`create or replace function credits.${name}(`);
    const others = routines.filter((routine) => routine.name !== `credits.${name}`);
    const behind = statements.slice(1).filter((statement) => !('CommentStmt' in statement));
    return when(!isFirst || others.length + behind.length > 0, path);
  });

/** A name without a schema is Postgres's own, which catalogue.test.ts looks up, or lacks one. */
const qualified = ofStatements((sources) => {
  const { functions, relations: types } = definitions(sources);
  const ours = new Set([...functions, ...types].map((name) => name.split('.')[1]));
  return (node) => {
    const local = new Set(find(node, 'CommonTableExpr').map(({ ctename }) => ctename));
    const named = [...calls(node), ...find(node, 'TypeName').map(({ names }) => dotted(names))];
    return [
      ...relations(node).flatMap(({ schemaname, relname = '' }) =>
        when(!schemaname && !local.has(relname), relname),
      ),
      ...named.filter((name) => ours.has(name)),
    ];
  };
});

const locksAlone = ofStatements(() => (node) => {
  if (find(node, 'LockingClause').length === 0) return [];
  const reads = relations(node).map(relationName).slice(1);
  return [...reads, ...calls(node).filter((name) => name.startsWith('credits'))];
});

const volatile =
  /^(pg_catalog\.)?(clock_timestamp|timeofday|random.*|.*uuid.*|nextval|set_config)$/;

const noVolatileValues = ofStatements((sources) => {
  const isVolatile = ({ node }: Routine) =>
    !['immutable', 'stable'].includes(dotted(option(node, 'volatility')));
  const routines = sources.flatMap((source) => source.routines);
  const ours = new Set(routines.filter(isVolatile).map(({ name }) => name));
  return (node) => {
    const upserts = find(node, 'OnConflictClause').filter((c) => c.action === 'ONCONFLICT_UPDATE');
    const called = calls([find(node, 'UpdateStmt'), upserts]);
    return called.filter((name) => volatile.test(name) || ours.has(name));
  };
});

const prefixed = ofRoutines(() => ({ inputs, variables }) => [
  ...inputs.map(({ name = 'no name' }) => name).filter((name) => !name.startsWith('p_')),
  ...variables.filter((name) => !name.startsWith('v_')),
]);

/** Text that is executed no check can read. */
const nothingDynamic = ofRoutines(
  () =>
    ({ isDynamic }) =>
      when(isDynamic, 'executes text'),
);

// It is for many accounts: it finds those that are due, and goes to each of them.
const exceptions = new Set(['credits_private.settle_due_at']);

/** `where false`: taken for its lock alone. */
const readsNothing = (node: Node) =>
  'SelectStmt' in node &&
  find(node.SelectStmt.whereClause, 'A_Const').some(({ boolval }) => boolval && !boolval.boolval);

/** A call that goes on while a deploy replaces functions would find some of them gone. */
const waitsForDeploys = ofRoutines(() => ({ name, node, statements }) => {
  const onlyReads = ['stable', 'immutable'].includes(dotted(option(node, 'volatility')));
  const waits = statements.some(
    (statement) =>
      readsNothing(statement) &&
      find(statement, 'LockingClause').length > 0 &&
      relations(statement).map(relationName).join() === 'credits_private.accounts',
  );
  return when(name.startsWith('credits.') && !onlyReads && !waits, 'does not wait for deploys');
});

/** On a shard, the rows of other accounts are elsewhere. */
const byAccount = ofRoutines(() => ({ name: routine, statements }) => {
  if (exceptions.has(routine)) return [];
  return statements.flatMap((node) => {
    if (readsNothing(node)) return [];
    const compared = find(node, 'A_Expr')
      .filter(({ name, kind }) => kind === 'AEXPR_OP' && dotted(name) === '=')
      .flatMap(({ lexpr, rexpr }) => [lexpr, rexpr])
      .map((side) => (side && 'ColumnRef' in side ? dotted(side.ColumnRef.fields) : ''));
    const inserted = new Set(find(node, 'InsertStmt').map(({ relation }) => relation));
    return relations(node)
      .filter((relation) => relation.schemaname?.startsWith('credits') && !inserted.has(relation))
      .filter(
        ({ alias, relname }) => !compared.includes(`${alias?.aliasname ?? relname}.account_id`),
      )
      .map(relationName);
  });
});

const keptApart = ofStatements((sources) => {
  const made = definitions(sources.filter((source) => !isMigration(source)));
  return (node, source) => {
    if (!isMigration(source)) return [];
    const read = relations(node).map(relationName);
    return [
      ...calls(node).filter((name) => made.functions.has(name)),
      ...read.filter((name) => made.relations.has(name)),
    ];
  };
});

/** On a worker, `new` is a row of the shard, and a signature with a table's row ties the two together. */
const noRows = ofRoutines((sources) => {
  const { tables } = definitions(sources);
  return ({ node, statements }) => {
    const signature = find([node.parameters, node.returnType], 'TypeName').map(typeName);
    const whole = find(statements, 'FuncCall')
      .filter(({ funcname }) => dotted(funcname).startsWith('credits'))
      .flatMap(({ args = [] }) => args)
      .map((arg) => ('ColumnRef' in arg ? dotted(arg.ColumnRef.fields) : ''));
    return [
      ...signature.filter((name) => tables.has(name.replace('[]', ''))),
      ...whole.filter((name) => ['new', 'old'].includes(name)),
    ];
  };
});

/** What the name of a function promises: what it returns if it does not raise. */
const oneGrammar = ofRoutines(() => ({ name, node }) => {
  const returned = find([node.returnType], 'TypeName').map(typeName).join();
  const promised = Object.entries({
    nothing: /^\w+\.(raise|check|require)_/.test(name) && returned !== 'void',
    'a refusal':
      /^\w+\.(?!raise_)\w+_refusal$/.test(name) !== (returned === 'credits_private.refusal'),
    'a trigger': /^\w+\.refuse_/.test(name) && returned !== 'trigger',
  });
  const [what] = promised.find(([, isBroken]) => isBroken) ?? [];
  return when(what !== undefined, `its name and its ${returned} differ about ${what}`);
});

/** `null, 0, true` says nothing to its reader. Texts speak for themselves. */
const constantsNamed = ofStatements(
  () => (node) =>
    find(node, 'FuncCall').flatMap(({ funcname, args = [] }) => {
      const name = dotted(funcname);
      if (!name.startsWith('credits_private.') || args.length <= 3) return [];
      if (/\.raise_(error|invalid_argument)$/.test(name)) return [];
      return when(args.some(isMute), `${name} has a constant without its name`);
    }),
);

const isMute = (node: Node): boolean => {
  if ('TypeCast' in node && node.TypeCast.arg) return isMute(node.TypeCast.arg);
  if (!('A_Const' in node)) return false;
  const { isnull, boolval, ival, sval } = node.A_Const;
  return isnull === true || !!boolval || !!ival || sval?.sval === '{}';
};

/** A function of more lines wants to be two: these are one each for what a call more would cost. */
const longer = new Map([
  ['credits_private.apply_entry', 116],
  ['credits_private.deduct', 84],
  ['credits_private.decide_items', 106],
]);

const short = ofRoutines(
  () =>
    ({ name, lines }) =>
      when(lines > (longer.get(name) ?? 70), `has ${lines} lines`),
);

/** Each deploy takes away what others than the owner may do: see scripts/deploy/privileges.ts. */
const nothingRevoked = ofStatements(
  () => (node) => find(node, 'GrantStmt').flatMap(({ is_grant }) => when(!is_grant, 'revokes')),
);

const behaviour = /^(Create(Function|Trig)|View|Comment|Grant)Stmt$/;

/** What a migration could not drop, because a view called it. */
const dropsFunction = (node: Node) =>
  'DropStmt' in node &&
  node.DropStmt.removeType === 'OBJECT_FUNCTION' &&
  node.DropStmt.missing_ok === true;

/** What is in sql/ can be applied twice. */
const inItsFolder: Rule = (sources) =>
  sources.flatMap((source) =>
    source.statements.flatMap((node) => {
      const kind = Object.keys(node).join();
      const isOnce = /^Create|^View/.test(kind) && !JSON.stringify(node).includes('"replace":true');
      const isBehaviour = behaviour.test(kind) || (!isMigration(source) && dropsFunction(node));
      const isAmiss = isMigration(source) ? isBehaviour : !isBehaviour || isOnce;
      return when(isAmiss, `${source.path}: ${kind}`);
    }),
  );

/** The bound of amounts has a name, credits_private.max_amount(). */
const boundNamed = ofRoutines(() => ({ name, statements }) => {
  const numbers = find(statements, 'A_Const').flatMap(({ fval }) => fval?.fval ?? []);
  const isSpelled = numbers.some((number) => /^9007199254740991$/.test(number));
  return when(name !== 'credits_private.max_amount' && isSpelled, 'spells 2^53 - 1');
});

/** Migrations that are out keep theirs. */
const noLongLines: Rule = (sources) =>
  sources
    .filter((source) => !isMigration(source))
    .flatMap(({ path, text }) =>
      text
        .split('\n')
        .flatMap((line, i) =>
          when(line.length > 100, `${path}:${i + 1} has ${line.length} columns`),
        ),
    );

/** node-pg-migrate's own expression: it cuts a file there, in a comment or in a body too. */
const noMarkers: Rule = (sources) =>
  sources
    .filter(isMigration)
    .flatMap(({ path, text }) => when(/^\s*--[\s-]*(up|down)\s+migration/im.test(text), path));

const noSequences = ofStatements(() => (node) => [
  ...find(node, 'CreateSeqStmt').map(() => 'a sequence'),
  ...calls(node).filter((name) => name.endsWith('nextval')),
  ...find(node, 'TypeName')
    .map(typeName)
    .filter((name) => /serial\d?$/.test(name)),
  ...find(node, 'Constraint').flatMap((c) => when(c.contype === 'CONSTR_IDENTITY', 'an identity')),
]);

const needsName = ({ contype = 'CONSTR_NULL' }: Constraint) =>
  /^CONSTR_(CHECK|PRIMARY|UNIQUE|EXCLUSION|FOREIGN)$/.test(contype);

const constraintsNamed = ofStatements(
  () => (node) =>
    find(node, 'Constraint').flatMap((c) => when(needsName(c) && !c.conname, `${c.contype}`)),
);

export const rules = {
  'a function has the search_path pg_temp': searchPath,
  'a public function plans to read by an index': byIndex,
  'public functions run as their owner, private ones as their caller': securityDefiner,
  'no statement revokes what every deploy takes away': nothingRevoked,
  'a file of sql/functions/ is one public function, itself first, and its comment': itself,
  'a security definer function takes the collation off a text': onlyDefaultCollation,
  'names have their schema': qualified,
  'a lock is a statement of its own': locksAlone,
  'no update has a volatile value': noVolatileValues,
  'parameters begin with p_, variables with v_': prefixed,
  'no text is executed': nothingDynamic,
  'no text of a function has a backslash': noBackslashes,
  'functions read and change rows by account_id': byAccount,
  'a public function waits for deploys, unless it only reads': waitsForDeploys,
  'no function takes or returns the row of a table, and no trigger passes its own whole': noRows,
  'a name says whether a function raises': oneGrammar,
  'a constant of a call of more than three arguments has its name': constantsNamed,
  'a function has 70 lines at most': short,
  'a function calls 2^53 - 1 by its name': boundNamed,
  'a line of sql/ has 100 columns at most': noLongLines,
  'a migration names nothing of sql/': keptApart,
  'state is in migrations/, behaviour in sql/': inItsFolder,
  'no migration has a marker of node-pg-migrate': noMarkers,
  'there is no sequence and no identity': noSequences,
  'every constraint has a name': constraintsNamed,
  'a view aggregates in a lateral subquery only with group by': noLateralTotals,
  'a view has columns and constants alone in values': onlyPlainValues,
  'a view groups by every column that it selects': groupedByAll,
  'what remains of a grant is read from credits_private.remainders': readThroughRemainders,
} satisfies Record<string, Rule>;
