import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule } from 'vitest/node';

/** Writes down what began and how it ended, so that even a run that hangs shows where, and is counted. */
export default class Progress implements Reporter {
  private readonly file = process.env.PG_CREDITS_CI_PROGRESS ?? '';

  onTestModuleStart(module: TestModule) {
    this.write({ began: relative(process.cwd(), module.moduleId) });
  }

  onTestModuleEnd(module: TestModule) {
    const tests = [...module.children.allTests()];
    const of = (state: string) => tests.filter((test) => test.result().state === state);
    const file = relative(process.cwd(), module.moduleId);
    this.write({
      ended: file,
      passed: of('passed').length,
      failed: of('failed').length + module.errors().length,
      skipped: of('skipped').length,
      failures: [
        ...module.errors().map(({ message }) => `${file}: ${firstLine(message)}`),
        ...of('failed').map((test) => `${file}: ${test.fullName}: ${firstLine(whyFailed(test))}`),
      ],
    });
  }

  onTestRunEnd(_: unknown, errors: readonly { message: string }[]) {
    const failures = errors.map(({ message }) => `outside of the tests: ${firstLine(message)}`);
    this.write({ ended: '', passed: 0, failed: errors.length, skipped: 0, failures });
  }

  private write(line: object) {
    appendFileSync(this.file, `${JSON.stringify(line)}\n`);
  }
}

function whyFailed(test: TestCase): string | undefined {
  return test.result().errors?.[0]?.message;
}

function firstLine(text = ''): string {
  return text.split('\n', 1)[0] ?? '';
}
