import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeBoxKey, openSecretBox } from './secret-box.ts';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'assay-box-'));
  file = join(dir, 'key');
  await makeBoxKey(file);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('a secret in the database', () => {
  it('is opened by who has the key file, and reads otherwise each time', async () => {
    const box = await openSecretBox(file);
    const [one, two] = [box.seal('whsec_x', 'whk_1'), box.seal('whsec_x', 'whk_1')];
    expect(one).not.toBe(two);
    expect(one).not.toContain('whsec');
    expect((await openSecretBox(file)).open(one, 'whk_1')).toBe('whsec_x');
  });

  it('opens for nobody else, nor when it was changed', async () => {
    const box = await openSecretBox(file);
    const sealed = box.seal('whsec_x', 'whk_1');
    const [id, content = ''] = sealed.split('.');
    const changed = `${id}.${content.startsWith('A') ? 'B' : 'A'}${content.slice(1)}`;
    for (const [text, owner] of [
      [sealed, 'whk_2'],
      [changed, 'whk_1'],
    ] as const)
      expect(() => box.open(text, owner)).toThrow('was changed, or belongs to another');
    await rm(file);
    await makeBoxKey(file);
    await expect(openSecretBox(file).then((other) => other.open(sealed, 'whk_1'))).rejects.toThrow('has not the key');
  });

  it('is opened by a former key of the file, and sealed by its first', async () => {
    const sealed = (await openSecretBox(file)).seal('whsec_x', 'whk_1');
    const former = await readFile(file, 'utf8');
    await rm(file);
    await makeBoxKey(file);
    const alone = await openSecretBox(file);
    await writeFile(file, `${await readFile(file, 'utf8')}${former}`);
    const both = await openSecretBox(file);
    expect(both.open(sealed, 'whk_1')).toBe('whsec_x');
    expect(alone.open(both.seal('new', 'whk_1'), 'whk_1')).toBe('new');
  });
});

describe('the key file', () => {
  it('is made for its owner alone, and stays when it is there', async () => {
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const before = await readFile(file, 'utf8');
    await makeBoxKey(file);
    expect(await readFile(file, 'utf8')).toBe(before);
  });

  it.each(['', 'c2hvcnQ=\n', `${Buffer.alloc(32).toString('base64')}\nc2hvcnQ=\n`])('%j is none', async (text) => {
    await writeFile(file, text);
    await expect(openSecretBox(file)).rejects.toThrow('is no key file');
  });
});
