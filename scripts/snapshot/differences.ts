import { roleNames } from '../postgres/roles.ts';
import type { Fact } from './snapshot.ts';
import { relationOf } from './snapshot.ts';

/**
 * What to do about a difference: `deploy` corrects it; `note` does no harm; `foreign` is for a person to decide, since
 * somebody else made the object, and it may run anything.
 */
export type Cure = 'deploy' | 'note' | 'foreign';

/** One fact about the schemas that is not as it should be; undefined stands for an absent fact. */
export interface Difference {
  key: string;
  should: string | undefined;
  is: string | undefined;
  cure: Cure;
}

/** What differs, without objects that are allowed by name, and without what another difference implies. */
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

  // A missing or foreign table or view is one difference, not one for each of its columns.
  function isPart(key: string): boolean {
    const relation = relationOf(key);
    const whole = [`table ${relation}`, `view ${relation}`];
    return !whole.includes(key) && whole.some((name) => expected.has(name) !== live.has(name));
  }

  // What a foreign trigger or column calls is covered by the trigger or the column itself.
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

/** Does this name mean the object of that key? For example `app_audit` or `credits.gift`; for a privilege, its role. */
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

/** Would reading the views run foreign code? Triggers, defaults and privileges do not affect a reader. */
export function runsWhenRead({ key, should, is, cure }: Difference): boolean {
  if (cure === 'note' || /^(trigger|privilege|owner of) /.test(key)) return false;
  if (key.startsWith('column ') && should === undefined)
    return is?.includes('generated as') ?? true;
  return !(/^(index|constraint) /.test(key) && is === undefined);
}
