import { withClient } from '../postgres/connect.ts';
import type { Given } from '../shell/command.ts';
import { sharedHelp } from '../shell/options.ts';
import type { Answer, Terminal } from '../shell/terminal.ts';
import { examine } from '../verify/examine.ts';
import { describe } from '../verify/text.ts';
import { allowHelp, prefixHelp, roleOptions, rolesFrom } from './shared.ts';

export const help = `pg-credits verify: does the database keep every promise? reads only, also under load

Compares the schema with this package's, checks the promises one by one, and checks that triggers are enabled and that
PUBLIC may do nothing. --json says how long each promise took. Needs a member of credits_auditor, the owner or a superuser.
Never runs a view or function that is not ours: what it would have shown counts as not checked.
Exit status: 0 every promise holds, 1 one does not, 2 wrong usage, 3 something could not be checked.

${prefixHelp}
${allowHelp}
${sharedHelp}`;

export const options = roleOptions;

export async function run({ values }: Given<typeof options>, terminal: Terminal): Promise<Answer> {
  const examined = { ...rolesFrom(values), progress: terminal.step };
  const report = await withClient(values, terminal.aside, (client) => examine(client, examined));
  const code = report.findings.length > 0 ? 1 : report.ok ? 0 : 3;
  return { report, lines: describe(report), code };
}
