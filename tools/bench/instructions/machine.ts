import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Failure } from '../../../scripts/shell/explain.ts';

/** What a count depends on, besides the server and its statements. */
export interface Machine {
  valgrind: string;
  glibc: string;
}

/** A Failure says why instructions can't be counted here. */
export async function readMachine(): Promise<Machine> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Failure(
      `the figures count instructions of x86_64 on Linux, and this is ${process.arch} on ${process.platform}: count on such a machine`,
    );
  const said = await promisify(execFile)('valgrind', ['--version']).catch(() => {
    throw new Failure(
      'counting instructions needs valgrind: install it (apt-get install valgrind)',
    );
  });
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } };
  return {
    valgrind: /\d+(\.\d+)+/.exec(said.stdout)?.[0] ?? said.stdout.trim(),
    glibc: report?.header?.glibcVersionRuntime ?? 'unknown',
  };
}
