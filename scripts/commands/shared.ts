// Options of several commands. Options of every command are in shell/options.ts.
import { type Mapping, readMapping } from '../adoption/mapping/mapping.ts';
import { checkPrefix } from '../package.ts';
import { UsageError } from '../shell/explain.ts';

export const roleOptions = {
  'role-prefix': { type: 'string' },
  allow: { type: 'string', multiple: true },
} as const;

export const prefixHelp =
  '  --role-prefix PREFIX  the prefix of the roles, if nothing in the database reveals it';

export const allowHelp = `  --allow NAME          accept what is yours in the schemas: an index, a trigger, a function or the like of that name,
                        or the privileges of a role; may be repeated`;

export function rolesFrom(values: { 'role-prefix'?: string; allow?: string[] }) {
  const { 'role-prefix': rolePrefix, allow } = values;
  try {
    checkPrefix(rolePrefix ?? '');
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  return { rolePrefix, allow };
}

export const mappingOptions = { mapping: { type: 'string' } } as const;

export const mappingHelp =
  '  --mapping FILE        where the app keeps its credits (pg-credits.yaml)';

export const mappingFile = ({ mapping = 'pg-credits.yaml' }: { mapping?: string }): string =>
  mapping;

export const mappingFrom = (values: { mapping?: string }): Mapping =>
  readMapping(mappingFile(values));
