import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';

/** A folder for the calling test alone. */
export const folder = (): string => mkdtempSync(join(inject('folder'), 'adoption '));

/** A file with that text. */
export function mappingFile(text: string): string {
  const file = join(folder(), 'pg-credits.yaml');
  writeFileSync(file, text);
  return file;
}
