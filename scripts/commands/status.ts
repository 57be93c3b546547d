import { withClient } from '../postgres/connect.ts';
import type { Given } from '../shell/command.ts';
import { sharedHelp } from '../shell/options.ts';
import type { Answer, Terminal } from '../shell/terminal.ts';
import { readStatus } from '../status/status.ts';
import { describe } from '../status/text.ts';
import { allowHelp, prefixHelp, roleOptions, rolesFrom } from './shared.ts';

export const help = `pg-credits status: what is deployed, and how the accounts stand; reads only

${prefixHelp}
${allowHelp}
${sharedHelp}`;

export const options = roleOptions;

export async function run({ values }: Given<typeof options>, terminal: Terminal): Promise<Answer> {
  const roles = rolesFrom(values);
  const report = await withClient(values, terminal.aside, (client) => readStatus(client, roles));
  return { report, lines: describe(report) };
}
