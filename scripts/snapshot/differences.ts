import { roleNames } from '../postgres/roles.ts';
import type { Fact } from './snapshot.ts';
import { relationOf } from './snapshot.ts';

/**
 * How a difference goes away: `deploy` puts it right; `note` harms nobody; `foreign` is for a person to decide, as
 * somebody made it, and what it runs may be anything.
 */
export type Cure = 'deploy' | 'note' | 'foreign';

/** One fact of the schemas that is not as it should be; undefined where there is none. */
export interface Difference {
  key: string;
  should: string | undefined;
  is: string | undefined;
  cure: Cure;
}

/** What differs, but for what is allowed by its name, and for what another of the differences says already. */
export function differ(
  expected: Map<string, string>,
  live: Map<string, string>,
  allow: string[] = [],
): Difference[] {
  const keys = [...new Set([...expected.keys(), ...live.keys()])].filter(
    (key) => expected.get(key) !== live.get(key),
  );
  return keys
    .filter(
      (key) => !isPart(key) && !isCodeOfAnother(key) && !allow.some((name) => isNamed(key, name)),
    )
    .map((key) => {
      const [should, is] = [expected.get(key), live.get(key)];
      const isOfView = key.startsWith('column ') && expected.has(`view ${relationOf(key)}`);
      const cure = isOfView && should !== undefined ? 'deploy' : cureOf(key, should, is);
      return { key, should, is, cure };
    });

  // A table or view that is missing, or not ours, is one difference, not one for each of its columns.
  function isPart(key: string): boolean {
    const relation = relationOf(key);
    const whole = [`table ${relation}`, `view ${relation}`];
    return !whole.includes(key) && whole.some((name) => expected.has(name) !== live.has(name));
  }

  // What somebody's own trigger or column calls is told by the trigger or the column.
  function isCodeOfAnother(key: string): boolean {
    const relation = relationOf(key);
    return key.startsWith('code of ') && keys.some((k) => k !== key && relationOf(k) === relation);
  }
}

export const asMap = (facts: Fact[]) => new Map(facts.map(({ key, value }) => [key, value]));

function cureOf(key: string, should: string | undefined, is: string | undefined): Cure {
  if (/^(privilege|owner of) /.test(key)) return 'deploy';
  if (/^(view|function|procedure|trigger) /.test(key) && should !== undefined) return 'deploy';
  // A unique index refuses rows that ours accept.
  const isPlainIndex =
    key.startsWith('index ') && !/^CREATE UNIQUE |with code of its own/.test(is ?? '');
  return isPlainIndex && should === undefined ? 'note' : 'foreign';
}

/** Does this name mean the object of that key? `app_audit`, `credits.gift`; of a privilege, who has it. */
export function isNamed(key: string, name: string): boolean {
  if (key.startsWith('privilege ')) {
    const quoted = `"${name.replaceAll('"', '""')}"`;
    const roles = roleNames('').includes(name) ? [quoted] : [name, quoted];
    return roles.some((role) => key.startsWith(`privilege ${role} on `));
  }
  const [kind = '', ...words] = key.replace(/\(.*$/, '').split(' ');
  if (kind === 'owner') return false;
  const own = (kind === 'column' ? words.join(' ') : words.at(-1)) ?? '';
  return own === name || own.split('.').at(-1) === name;
}

/** Does reading the views run what is not ours? A trigger, a default, a privilege does nothing to who reads. */
export function runsWhenRead({ key, should, is, cure }: Difference): boolean {
  if (cure === 'note' || /^(trigger|privilege|owner of) /.test(key)) return false;
  if (key.startsWith('column ') && should === undefined)
    return is?.includes('generated as') ?? true;
  return !(/^(index|constraint) /.test(key) && is === undefined);
}
