import type { Check } from './check.ts';
import type { nodeFromNpm } from './node.ts';
import { dockerSuite, suite } from './suite.ts';

/** One run of vitest. */
export interface Row {
  /** The major version of an embedded Postgres, or the Docker image that testcontainers starts. */
  postgres: number | 'docker';
  node?: ReturnType<typeof nodeFromNpm>;
  through?: 'pgbouncer';
  /** Arguments of vitest; none is all tests. */
  tests: string[];
  /** How many random histories a test draws. */
  draws?: number;
  minutes?: number;
}

/** A check for each row. Before the first row that needs a certain Node, one that installs it. */
export const checksOf = (rows: Row[]): Check[] =>
  rows.flatMap((row, i) => {
    const isFirst = !rows.slice(0, i).some(({ node }) => node === row.node);
    return row.node && isFirst ? [row.node.check, suiteOf(row)] : [suiteOf(row)];
  });

function suiteOf({ postgres, node, through, tests, draws, minutes }: Row): Check {
  if (postgres === 'docker')
    return dockerSuite('tests on Docker, by testcontainers', { args: tests });
  const env = {
    PG_CREDITS_TEST_SERVER: 'embedded',
    PG_CREDITS_TEST_MAJOR: String(postgres),
    ...(draws === undefined ? {} : { PG_CREDITS_TEST_RUNS: String(draws) }),
    ...(through === undefined ? {} : { PG_CREDITS_TEST_POOLER: through }),
  };
  const which = tests.length === 0 ? 'all tests' : 'tests';
  const name = through
    ? `${which} through ${through} in transaction mode`
    : `${which} on ${[`Postgres ${postgres}`, node?.check.name ?? []].flat().join(', ')}`;
  return suite(name, {
    env,
    args: tests,
    ...(node ? { node: node.node } : {}),
    ...(minutes === undefined ? {} : { minutes }),
  });
}
