import { basename } from 'node:path';
import { packageRoot, readPackage } from '../../scripts/package.ts';
import { Failure } from '../../scripts/shell/explain.ts';

/** Checksums for `sha256sum -c` in migrations/. Existing lines stay: a released migration never changes. */
export function checksums(before: string, rewrite: boolean, root = packageRoot): string {
  const lines = readPackage(root).migrations.map(({ path, checksum }) => {
    return `${checksum}  ${basename(path)}`;
  });
  const changed = before.split('\n').filter((line) => line !== '' && !lines.includes(line));
  if (changed.length > 0 && !rewrite) {
    const names = changed.map((line) => line.slice(66)).join(', ');
    throw new Failure(
      `migrations/SHA256SUMS has another checksum for ${names}: a released migration never changes; before its release, use --rewrite`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** The first few lines that only one of the two texts has. */
export function shortDiff(before: string, after: string): string[] {
  const [old, now] = [before.split('\n'), after.split('\n')];
  const lines = [
    ...old.filter((line) => !now.includes(line)).map((line) => `  - ${line}`),
    ...now.filter((line) => !old.includes(line)).map((line) => `  + ${line}`),
  ].map((line) => (line.length > 160 ? `${line.slice(0, 159)}…` : line));
  if (lines.length === 0) return ['  the same lines in another order'];
  return lines.length > 20 ? [...lines.slice(0, 20), `  … and ${lines.length - 20} more`] : lines;
}
