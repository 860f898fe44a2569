import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { findViolations } from './import-rules.ts';

const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

const NAMES = ['packages/contracts', 'packages/database', 'packages/http', 'packages/scoring'].concat([
  'services/registry',
  'services/inference',
  'services/standalone',
  'cli',
  'tools',
  'test',
]);

/** A repository of these files; every workspace declares every other, and fastify, kysely and onnxruntime-node. */
function violationsOf(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'assay-imports-'));
  roots.push(root);
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  write(
    'package.json',
    JSON.stringify({
      workspaces: ['packages/*', 'services/*', 'cli', 'tools', 'test'],
      devDependencies: { vitest: '1' },
    }),
  );
  const npm = (path: string): string => `@assay/${path.split('/').at(-1)}`;
  const dependencies = Object.fromEntries(
    [...NAMES.map(npm), 'fastify', 'kysely', 'onnxruntime-node'].map((name) => [name, '1']),
  );
  for (const path of NAMES) {
    const exports = {
      '.': './src/index.ts',
      ...(path === 'packages/database' ? { './conformance': './src/conformance.ts' } : {}),
    };
    write(`${path}/package.json`, JSON.stringify({ name: npm(path), exports, dependencies }));
  }
  for (const [path, text] of Object.entries(files)) write(path, text);
  return findViolations(root).map(({ file, line, message }) => `${file}:${line}: ${message}`);
}

describe('the import rules', () => {
  test('accept what the architecture allows', () => {
    expect(
      violationsOf({
        'packages/database/src/index.ts': "import { a } from '@assay/contracts';\nimport { b } from './b.ts';",
        'packages/database/src/index.test.ts': "import { test } from 'vitest';\nimport './conformance.ts';",
        'services/registry/src/index.ts': "import type { A } from '@assay/database';\nimport 'node:fs';",
        'services/registry/src/domain/rules.ts': "import { a } from '@assay/contracts';\nimport '../config.ts';",
        'services/registry/src/config.ts': 'export const config = 1;',
        'services/registry/src/store/store.ts': "import { Kysely } from 'kysely';\nimport '../domain/rules.ts';",
        'services/standalone/src/index.ts': "import { createService } from '@assay/registry';",
        'cli/src/up.ts': "const { start } = await import('@assay/standalone');",
        'test/e2e/a.test.ts': "import '@assay/registry';\nimport '@assay/database/conformance';",
      }),
    ).toEqual([]);
  });

  test.each([
    [
      'a package that imports one below it',
      { 'packages/database/src/a.ts': "\nimport { x } from '@assay/http';" },
      /^packages\/database\/src\/a\.ts:2: .*only those above it/,
    ],
    [
      'such an import of types only',
      { 'packages/contracts/src/a.ts': "import type { X } from '@assay/database';" },
      /only those above it/,
    ],
    [
      'such an import in a type expression',
      { 'packages/contracts/src/a.ts': "type X = import('@assay/database').X;" },
      /only those above it/,
    ],
    [
      'such an import in a re-export',
      { 'packages/contracts/src/a.ts': "export * from '@assay/database';" },
      /only those above it/,
    ],
    [
      'such an import made later',
      { 'packages/contracts/src/a.ts': "await import('@assay/database');" },
      /only those above it/,
    ],
    [
      'such an import in a test',
      { 'packages/contracts/src/a.test.ts': "import '@assay/database';" },
      /only those above it/,
    ],
    [
      'a package that imports a service',
      { 'packages/http/src/a.ts': "import '@assay/registry';" },
      /packages know no service/,
    ],
    [
      'a service that imports another',
      { 'services/inference/src/a.ts': "import '@assay/registry';" },
      /services speak by the client/,
    ],
    [
      'a service that imports standalone',
      { 'services/inference/src/a.ts': "import '@assay/standalone';" },
      /services speak by the client/,
    ],
    [
      'a service that imports the command line',
      { 'services/standalone/src/a.ts': "import '@assay/cli';" },
      /nothing imports that/,
    ],
    ['a command line that loads a service at once', { 'cli/src/a.ts': "import '@assay/standalone';" }, /by import\(\)/],
    [
      'a domain that imports a door',
      { 'services/registry/src/domain/a.ts': "import 'fastify';" },
      /a\.ts:1: domain\/ reaches fastify$/,
    ],
    [
      'a domain that imports a driver of ours',
      { 'services/registry/src/domain/a.ts': "import '@assay/database';" },
      /domain\/ reaches @assay\/database/,
    ],
    [
      'a domain that reaches a driver by another file',
      {
        'services/registry/src/domain/a.ts': "\nimport '../store/s.ts';",
        'services/registry/src/store/s.ts': "import 'kysely';",
      },
      /a\.ts:2: domain\/ reaches kysely by way of services\/registry\/src\/store\/s\.ts/,
    ],
    [
      'a path into another workspace',
      { 'packages/http/src/a.ts': "import '../../contracts/src/errors.ts';" },
      /leads out of packages\/http/,
    ],
    [
      'a subpath that is not exported',
      { 'packages/http/src/a.ts': "import '@assay/contracts/src/errors.ts';" },
      /not among the exports/,
    ],
    [
      'a dependency that is not declared',
      { 'packages/http/src/a.ts': "import 'lodash/get';" },
      /lodash is not among the dependencies/,
    ],
    ['the test runner in production code', { 'packages/http/src/a.ts': "import 'vitest';" }, /vitest belongs to tests/],
    [
      'a test suite in production code',
      { 'packages/http/src/a.ts': "import '@assay/database/conformance';" },
      /belongs to tests/,
    ],
    ['a default export', { 'packages/http/src/a.ts': '\nexport default 1;' }, /a\.ts:2: export a name/],
    [
      'the native run outside of scoring',
      { 'services/inference/src/a.ts': "import 'onnxruntime-node/dist/binding.js';" },
      /by one file/,
    ],
    [
      'the native run in a second file',
      {
        'packages/scoring/src/a.ts': "require('onnxruntime-node/dist/binding.js');",
        'packages/scoring/src/b.ts': "import 'onnxruntime-node/dist/binding.js';",
      },
      /b\.ts:1: .*by one file/,
    ],
  ])('find %s', (_, files, expected) => {
    const found = violationsOf(files);
    expect(
      found.some((line) => expected.test(line)),
      found.join('\n'),
    ).toBe(true);
  });

  test('name every broken place once', () => {
    expect(
      violationsOf({ 'packages/contracts/src/a.ts': "export { a, b, c } from '@assay/http';\nimport '@assay/http';" }),
    ).toHaveLength(2);
  });

  test('do not pass over a file that cannot be parsed', () => {
    expect(() => violationsOf({ 'packages/contracts/src/a.ts': 'import {' })).toThrow(
      /packages\/contracts\/src\/a\.ts/,
    );
  });
});
