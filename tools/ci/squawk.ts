// squawk over migrations/, as .squawk.toml says. Exit status: 0 passed, 1 it found something, 77 skipped.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { $ } from 'zx';
import { packageRoot } from '../../scripts/package.ts';
import { type Exception, report, skip } from './findings.ts';

// Not a dependency: its binaries for other platforms are not in every registry, and a lock file names them all.
const squawk = ['--yes', '--fetch-retries=0', '--package=squawk-cli@2.66.0', 'squawk'];

interface Finding {
  file: string;
  line: number;
  rule_name: string;
  message: string;
}

const inFile =
  (file: string, ...rules: string[]) =>
  (finding: Finding) =>
    finding.file.endsWith(file) && rules.includes(finding.rule_name);

const exceptions: Exception<Finding>[] = [
  {
    finds: inFile('0001_ledger.sql', 'prefer-bigint-over-int'),
    because:
      'a scale, a day of the month, a priority, the entries of one transaction: all are small',
  },
  {
    finds: inFile('0008_fast_and_bounded.sql', 'ban-drop-column'),
    because: 'only functions read the table, and a deploy replaces them in the same transaction',
  },
  {
    finds: inFile('0008_fast_and_bounded.sql', 'constraint-missing-not-valid'),
    because: 'it scans the accounts, which are few beside the ledger, while callers wait',
  },
  {
    finds: inFile('0008_fast_and_bounded.sql', 'changing-column-type'),
    because: 'limits and their counters are few beside the ledger, and callers wait for a deploy',
  },
  {
    finds: inFile('0008_fast_and_bounded.sql', 'prefer-timestamp-tz'),
    because: 'a window begins at a moment of the account’s local time, which is no instant',
  },
  {
    finds: inFile('0006_what_a_period_was_cut_by.sql', 'prefer-bigint-over-int'),
    because: 'a day of the month is small',
  },
  {
    finds: inFile('0002_time_and_uncertainty.sql', 'constraint-missing-not-valid'),
    because: 'it is in the first release, as 0001: it only ever finds empty tables',
  },
  {
    finds: inFile(
      '0003_keys_in_the_ledger.sql',
      'constraint-missing-not-valid',
      'disallowed-unique-constraint',
    ),
    because: 'it is in the first release, as 0001: it only ever finds empty tables',
  },
  {
    finds: inFile('0002_time_and_uncertainty.sql', 'ban-drop-not-null'),
    because: 'nobody reads the tables but functions and views that come in the same transaction',
  },
  {
    finds: inFile('0005_right_under_every_caller.sql', 'adding-not-nullable-field'),
    because: 'an account has a hundred limits at most: their table is scanned in no time',
  },
];

async function check(): Promise<number> {
  const quiet = $({ cwd: packageRoot, nothrow: true, quiet: true });
  const version = await quiet`npx ${squawk} --version`;
  if (version.exitCode !== 0) return skip('npx could not get squawk-cli');

  const folder = mkdtempSync(join(tmpdir(), 'pg-credits-squawk-'));
  try {
    const planted = join(folder, 'planted.sql');
    writeFileSync(planted, 'alter table credits_private.accounts rename balance to amount;');
    const run = await quiet`npx ${squawk} --reporter json migrations/*.sql ${planted}`;
    return report<Finding>({
      findings: JSON.parse(run.stdout),
      exceptions,
      isPlanted: ({ file }) => file === planted,
      // Its line numbers begin at 0.
      describe: ({ file, line, rule_name: rule, message }) =>
        `${file}:${line + 1}: ${rule}: ${message}`,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await check();
