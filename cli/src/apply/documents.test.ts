import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AssayError } from '@assay/contracts';
import { afterEach, describe, expect, test } from 'vitest';
import { readDocuments } from './documents.ts';
import { KINDS } from './kinds/index.ts';

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** Reads `p`, a folder with these files. */
async function read(files: Readonly<Record<string, string>>) {
  const cwd = await mkdtemp(join(tmpdir(), 'assay-documents-'));
  folders.push(cwd);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(cwd, 'p', path)), { recursive: true });
    await writeFile(join(cwd, 'p', path), text);
  }
  return readDocuments(cwd, 'p', KINDS);
}

async function problems(files: Readonly<Record<string, string>>): Promise<string[]> {
  try {
    await read(files);
  } catch (error) {
    if (error instanceof AssayError) return error.details.map(({ place, message }) => `${place}: ${message}`);
    throw error;
  }
  throw new Error('they were accepted');
}

const ALIAS = 'kind: Alias\nname: churn@champion\nspec:\n  version: 3\n';

describe('documents of a folder', () => {
  test('are those of every YAML and JSON file at any depth, several in a file, in a fixed order', async () => {
    const documents = await read({
      'b.json': '{"kind": "Model", "name": "b", "spec": {}}',
      'a/deep/x.yml': 'kind: Model\nname: x\nspec: {}\n---\n# nothing\n---\nkind: Model\nname: y\nspec: {}\n',
      'README.md': 'kind: Model',
      '.github/w.yaml': 'on: push',
      'empty.yaml': '# later\n',
    });
    expect(documents.map(({ name, place }) => `${name} ${place}`)).toEqual([
      'x p/a/deep/x.yml:1',
      'y p/a/deep/x.yml:7',
      'b p/b.json:1',
    ]);
  });

  test('may be named by the one file that has them', async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'assay-documents-'));
    folders.push(cwd);
    await writeFile(join(cwd, 'one.yaml'), ALIAS);
    expect(await readDocuments(cwd, 'one.yaml', KINDS)).toMatchObject([
      { name: 'churn@champion', spec: { version: 3 } },
    ]);
    await expect(readDocuments(cwd, 'two.yaml', KINDS)).rejects.toThrow('there is no file or folder two.yaml');
  });

  test('that say what they should not are told all at once, with file, line and path', async () => {
    expect(
      await problems({
        'a.yaml': 'kind: Aliass\nname: x\nspec: {}\n',
        'b.yaml': `${ALIAS}  vresion: 4\n---\nname: x\n`,
        'c.yaml': 'kind: Model\nname: a\nspec: {}\nlabels: {}\n',
        'd.yaml': 'kind: Endpoint\nname: e\nspec:\n  variants:\n    - model: m\n      version: 1\n',
        'e.yaml': 'kind: Model\nname: [\n',
        'f.yaml': 'kind: Alias\nname: no-at\nspec: { version: 1 }\n',
        'g.yaml': '- kind: Model\n',
      }),
    ).toEqual([
      'p/a.yaml:1: kind: there is no kind "Aliass"; did you mean "Alias"?',
      'p/b.yaml:5: spec.vresion: unknown key "vresion"; did you mean "version"?',
      'p/b.yaml:7: kind: is required',
      'p/c.yaml:4: labels: unknown key "labels"',
      'p/d.yaml:5: spec.variants[0].weight: is required',
      expect.stringMatching(/^p\/e\.yaml:\d: /),
      expect.stringMatching(/^p\/f\.yaml:2: name: must match pattern/),
      expect.stringMatching(/^p\/g\.yaml:1: must be object/),
    ]);
  });

  test('say what a resource is, or that it is absent, and not both', async () => {
    const [document] = await read({ 'a.yaml': 'kind: Alias\nname: churn@old\nabsent: true\n' });
    expect(document?.spec).toBeUndefined();
    expect(await problems({ 'a.yaml': `${ALIAS}absent: true\n` })).toEqual([
      'p/a.yaml:1: has spec and absent, which exclude each other',
    ]);
    expect(await problems({ 'a.yaml': 'kind: Alias\nname: churn@old\n' })).toEqual([
      'p/a.yaml:1: needs spec or absent',
    ]);
    expect(await problems({ 'a.yaml': 'kind: Model\nname: churn\nabsent: true\n' })).toContain(
      'p/a.yaml:3: absent: unknown key "absent"',
    );
  });

  test('name a resource once, however it is written', async () => {
    const webhook = (name: string) => `kind: Webhook\nname: ${name}\nspec: {}\n`;
    expect(
      await problems({
        'a.yaml': ALIAS,
        'b.yaml': ALIAS,
        'c.yaml': webhook('https://example.com'),
        'd.yaml': webhook('HTTPS://example.com/'),
      }),
    ).toEqual([
      'p/b.yaml:1: Alias churn@champion is in p/a.yaml:1 already',
      'p/d.yaml:1: Webhook HTTPS://example.com/ is in p/c.yaml:1 already',
    ]);
  });

  test('hold no secret: no kind has a place for one', async () => {
    const key = 'kind: Key\nname: key_1\nspec:\n  principal: ci\n  scopes: [read]\n';
    expect(await read({ 'a.yaml': key })).toHaveLength(1);
    expect(await problems({ 'a.yaml': `${key}  secret: x\n` })).toEqual([
      'p/a.yaml:6: spec.secret: unknown key "secret"',
    ]);
  });

  test('are what the page about them shows', async () => {
    const page = await readFile(fileURLToPath(new URL('../../../docs/as-files.md', import.meta.url)), 'utf8');
    const shown = [...page.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = ''], i) => [`${i}.yaml`, text]);
    const documents = await read(Object.fromEntries(shown));
    expect(documents.map(({ kind }) => kind.name)).toEqual(['Model', 'Alias', 'Endpoint', 'Endpoint']);
    for (const { name } of KINDS) expect(page).toContain(`| \`${name}\` `);
  });
});
