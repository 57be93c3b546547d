import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestModule } from 'vitest/node';

/** Writes down what began and how it ended, so that a run that hangs still tells, and counts. */
export default class Progress implements Reporter {
  private readonly file = process.env.PG_CREDITS_CI_PROGRESS ?? '';

  onTestModuleStart(module: TestModule) {
    this.write({ began: relative(process.cwd(), module.moduleId) });
  }

  onTestModuleEnd(module: TestModule) {
    const states = [...module.children.allTests()].map((test) => test.result().state);
    const count = (state: string) => states.filter((each) => each === state).length;
    this.write({
      ended: relative(process.cwd(), module.moduleId),
      passed: count('passed'),
      failed: count('failed'),
      skipped: count('skipped'),
    });
  }

  private write(line: object) {
    appendFileSync(this.file, `${JSON.stringify(line)}\n`);
  }
}
