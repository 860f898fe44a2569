/** The schemas of gen/kubernetes-schemas.json (see compact-schemas), laid out as kubeconform wants them. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

interface Schemas {
  /** File name → definition. */
  readonly kinds: Readonly<Record<string, string>>;
  readonly definitions: Readonly<Record<string, unknown>>;
}

export async function writeSchemas(dir: string): Promise<void> {
  const text = await readFile(join(import.meta.dirname, 'gen', 'kubernetes-schemas.json'), 'utf8');
  const { kinds, definitions } = JSON.parse(text) as Schemas; // written by compact-schemas
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, '_definitions.json'), JSON.stringify({ definitions }));
  for (const [file, name] of Object.entries(kinds)) {
    await writeFile(join(dir, `${file}.json`), JSON.stringify({ $ref: `_definitions.json#/definitions/${name}` }));
  }
}
