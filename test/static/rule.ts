import type { CreateFunctionStmt, Node } from 'libpg-query';
import { type Routine, type Source, statementsIn } from './sources.ts';
import { find, option } from './tree.ts';

/** What of the sources breaks the rule. */
export type Rule = (sources: Source[]) => string[];
type Findings<T> = (of: T, source: Source) => string[];

export const ofRoutines =
  (prepare: (sources: Source[]) => Findings<Routine>): Rule =>
  (sources) => {
    const findings = prepare(sources);
    return sources.flatMap((source) =>
      source.routines.flatMap((routine) =>
        findings(routine, source).map((what) => `${source.path}: ${routine.name}: ${what}`),
      ),
    );
  };

/** Each statement for itself: of a file, and of a function's body. */
export const ofStatements =
  (prepare: (sources: Source[]) => Findings<Node>): Rule =>
  (sources) => {
    const findings = prepare(sources);
    return sources.flatMap((source) =>
      statementsIn(source).flatMap(({ where, node }) =>
        findings(node, source).map((what) => `${where}: ${what}`),
      ),
    );
  };

export const when = (broken: boolean, finding: string) => (broken ? [finding] : []);

export const isDefiner = (node: CreateFunctionStmt) =>
  find(option(node, 'security'), 'Boolean').some((is) => is.boolval);
