import { expect, test } from 'vitest';
import { circles, importsOf, readImports, rooms, throughTheWall } from './imports.ts';

const imports = readImports(['scripts', 'tools']);

test('the imports of scripts/ and tools/ were read', () => {
  expect(imports.get('scripts/cli.ts')).toContain('scripts/main.ts');
  expect(imports.get('scripts/main.ts')).toContain('scripts/commands/deploy.ts');
  const missing = [...imports].flatMap(([from, targets]) =>
    targets.filter((to) => !imports.has(to)).map((to) => `${from} imports ${to}`),
  );
  expect(missing).toEqual([]);
});

test('scripts/, which npm ships, imports nothing of tools/', () => {
  expect(throughTheWall(imports)).toEqual([]);
});

test('an import through the wall is found', () => {
  const planted = new Map([
    ['tools/demo/main.ts', ['scripts/cli.ts']],
    ['scripts/cli.ts', importsOf('scripts/cli.ts', "import { x } from '../tools/random.ts';")],
  ]);
  expect(throughTheWall(planted)).toEqual(['scripts/cli.ts imports tools/random.ts']);
});

test('no files import each other in a circle', () => {
  expect(circles(imports)).toEqual([]);
});

test('a circle is found, also where a dynamic import closes it', () => {
  const planted = new Map([
    ['scripts/a.ts', importsOf('scripts/a.ts', "import './b.ts';")],
    ['scripts/b.ts', importsOf('scripts/b.ts', "const b = () => import('./a.ts');")],
  ]);
  expect(circles(planted)).toEqual(['scripts/a.ts → scripts/b.ts → scripts/a.ts']);
});

test('no folders of scripts/ or tools/ import each other in a circle', () => {
  expect(circles(rooms(imports))).toEqual([]);
});

test('a circle of folders is found though no files make one', () => {
  const planted = new Map([
    ['scripts/a/one.ts', ['scripts/b/one.ts']],
    ['scripts/b/one.ts', []],
    ['scripts/b/two.ts', ['scripts/a/two.ts']],
    ['scripts/a/two.ts', ['scripts/one.ts']],
    ['scripts/one.ts', []],
  ]);
  expect(circles(rooms(planted))).toEqual(['scripts/a → scripts/b → scripts/a']);
});
