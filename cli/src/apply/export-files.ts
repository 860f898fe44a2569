/** The registry as files: one document a file, a folder a kind. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { AssayError } from '@assay/contracts';
import { writeYaml } from '@assay/runtime';
import { unwritable } from '../user-files.ts';
import { filesBelow } from './documents.ts';
import type { Kind } from './kind.ts';
import type { Session } from './session.ts';

/**
 * Writes what there is of these kinds below `dir`, which is made.
 * @returns how many files of each kind
 * @throws AssayError FAILED_PRECONDITION where the folder has documents already: they would be mixed with other ones
 */
export async function exportFiles(
  cwd: string,
  dir: string,
  kinds: readonly Kind[],
  session: Session,
): Promise<ReadonlyMap<Kind, number>> {
  await mkdir(resolve(cwd, dir), { recursive: true }).catch((cause: unknown) => {
    throw unwritable(dir, cause);
  });
  const [there] = await filesBelow(cwd, dir);
  if (there !== undefined) {
    throw new AssayError(
      'FAILED_PRECONDITION',
      `${dir} has files already (${there}); name an empty folder, or one to make`,
    );
  }
  const counts = new Map<Kind, number>();
  for (const kind of kinds) {
    const folder = resolve(cwd, dir, kind.folder);
    const taken = new Set<string>();
    for await (const { name, spec, fileName = name } of kind.list(session)) {
      if (taken.size === 0) await mkdir(folder, { recursive: true });
      await writeFile(join(folder, `${free(fileName, taken)}.yaml`), writeYaml({ kind: kind.name, name, spec }));
    }
    counts.set(kind, taken.size);
  }
  return counts;
}

/** Names that differ by their case alone are one file on some machines. */
function free(fileName: string, taken: Set<string>): string {
  let name = fileName;
  for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${fileName}-${n}`;
  taken.add(name.toLowerCase());
  return name;
}
