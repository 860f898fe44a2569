import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXIT_CODES } from '@assay/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { assay } from './fake-services.ts';
import { unwritable } from './user-files.ts';

const NOWHERE = 'http://127.0.0.1:9'; // nothing listens: what is wrong with a file is told before anything is asked
const DIFF_FAILURE = 1; // its 2 says that there are changes

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'assay-user-files-'));
  await mkdir(join(cwd, 'folder.yaml'));
  await symlink('loop.yaml', join(cwd, 'loop.yaml'));
  await writeFile(join(cwd, 'binary.yaml'), Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0, 0xff]));
  await writeFile(join(cwd, 'broken.yaml'), 'kind: [\n');
  await writeFile(join(cwd, 'plain.yaml'), 'hello\n');
  const { publicKey } = generateKeyPairSync('ed25519');
  await writeFile(join(cwd, 'public.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
});
afterAll(() => rm(cwd, { recursive: true }));

/** Every command that reads a file which a person wrote, and the word that it has for it. */
const READERS: readonly (readonly [what: string, args: (path: string) => readonly string[]])[] = [
  ['spec', (path) => ['train', path, '--training', NOWHERE]],
  ['spec', (path) => ['batch', path, '--batch', NOWHERE]],
  ['spec', (path) => ['compose', path, '--registry', NOWHERE]],
  ['file', (path) => ['gates', 'set', 'churn', path, '--registry', NOWHERE]],
  ['file', (path) => ['score', 'churn', '--records', path, '--inference', NOWHERE]],
  ['file', (path) => ['audit', 'verify', '--file', path]],
  ['file', (path) => ['audit', 'verify', '--file', 'x', '--checkpoints', 'x', '--public-keys', path]],
  [
    'file or folder',
    (path) => ['audit', 'verify', '--file', 'x', '--checkpoints', path, '--public-keys', 'public.pem'],
  ],
  ['file or folder', (path) => ['apply', '-f', path, '--registry', NOWHERE]],
  ['file or folder', (path) => ['diff', '-f', path, '--registry', NOWHERE]],
  ['file or folder', (path) => ['register', 'churn', path, '--registry', NOWHERE]],
];
const withName = READERS.map(([what, args]) => [args('FILE').slice(0, -2).join(' '), what, args] as const);

describe.each(withName)('assay %s', (_name, what, args) => {
  const failed = args('')[0] === 'diff' ? DIFF_FAILURE : EXIT_CODES.usage.code;

  test('says that there is no such file', async () => {
    for (const path of ['absent.yaml', 'plain.yaml/absent.yaml']) {
      expect(await assay(args(path), { cwd })).toEqual({
        code: failed,
        out: '',
        err: `assay: there is no ${what} ${path}\n`,
      });
    }
  });

  test('says which file cannot be read', async () => {
    const { code, err } = await assay(args('loop.yaml'), { cwd });
    expect(code).toBe(failed);
    expect(err).toMatch(/^assay: loop\.yaml cannot be read: ELOOP/);
  });
});

test.each(withName.filter(([, what]) => what !== 'file or folder'))(
  'assay %s says that a folder is none',
  async (_name, what, args) => {
    expect(await assay(args('folder.yaml'), { cwd })).toMatchObject({
      code: EXIT_CODES.usage.code,
      err: `assay: folder.yaml is a folder; expected a ${what}\n`,
    });
  },
);

/** Those whose file is YAML or JSON. */
const DOCUMENTS = READERS.map(([, args]) => args).filter((args) =>
  ['train', 'batch', 'compose', 'gates', 'apply', 'diff', 'score'].includes(args('')[0] ?? ''),
);

test.each(DOCUMENTS.map((args) => [args('FILE').slice(0, 2).join(' '), args] as const))(
  'assay %s says what is wrong with a file that is no YAML or JSON, and where',
  async (_name, args) => {
    const failed = args('')[0] === 'diff' ? DIFF_FAILURE : EXIT_CODES.usage.code;
    const [binary, broken, plain] = await Promise.all(
      ['binary.yaml', 'broken.yaml', 'plain.yaml'].map((path) => assay(args(path), { cwd })),
    );
    expect(binary).toMatchObject({ code: failed, err: 'assay: binary.yaml is not a text in UTF-8\n' });
    for (const [run, place] of [
      [broken, /^assay: broken\.yaml(:\d+: | is not JSON: )/],
      [plain, /^assay: plain\.yaml(:1: must be object, got "hello"| is not JSON: )/],
    ] as const) {
      expect(run?.code).toBe(failed);
      expect(run?.err).toMatch(place);
    }
  },
);

describe('a file that cannot be written', () => {
  test('is told with its path, before anything is asked', async () => {
    const audit = (path: string) => assay(['audit', 'export', path, '--registry', NOWHERE], { cwd });
    expect(await audit('absent/audit.ndjson')).toMatchObject({
      code: EXIT_CODES.usage.code,
      err: 'assay: there is no folder absent to write absent/audit.ndjson in\n',
    });
    for (const path of ['plain.yaml', 'plain.yaml/platform']) {
      expect(await assay(['export', '-f', path, '--registry', NOWHERE], { cwd })).toMatchObject({
        code: EXIT_CODES.usage.code,
        err: `assay: ${path} cannot be written: a part of that path is a file where a folder is needed\n`,
      });
    }
  });

  test('for want of space is no matter of its path, and no bug', async () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    expect(unwritable('a', full)).toBe(full);
    const readStdin = () => Promise.reject(full);
    const { code, err } = await assay(['score', 'churn', '--records', '-', '--inference', NOWHERE], { readStdin });
    expect(code).toBe(EXIT_CODES.unavailable.code);
    expect(err).toContain('the disk is full');
    const forbidden = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
    expect(unwritable('a', forbidden)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('a cannot be written'),
    });
  });
});
