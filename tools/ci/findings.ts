/** A finding that we accept, and why. */
export interface Exception<Finding> {
  finds: (finding: Finding) => boolean;
  because: string;
}

export interface Checked<Finding> {
  findings: Finding[];
  exceptions: Exception<Finding>[];
  /** A planted fault that the checker must find: a checker that looks at nothing would find nothing. */
  isPlanted: (finding: Finding) => boolean;
  describe: (finding: Finding) => string;
}

/** Prints what is wrong; returns the exit status. An exception that matches nothing is wrong, too. */
export function report<Finding>(checked: Checked<Finding>): number {
  const { findings, exceptions, isPlanted, describe } = checked;
  const real = findings.filter((finding) => !isPlanted(finding));
  const problems = real
    .filter((finding) => !exceptions.some(({ finds }) => finds(finding)))
    .map(describe);
  if (real.length === findings.length) problems.push('the planted fault was not found');
  for (const { finds, because } of exceptions)
    if (!real.some(finds)) problems.push(`an exception that nothing needs: ${because}`);
  for (const problem of new Set(problems)) console.log(problem);
  if (problems.length === 0)
    console.log(`nothing was found, but for ${real.length} findings of ${exceptions.length} kinds`);
  return problems.length > 0 ? 1 : 0;
}

/** For what cannot run here: one line, and the exit status by which tools/ci/main.ts counts it as skipped. */
export function skip(reason: string): number {
  console.log(`skipped: ${reason}`);
  return 77;
}
