/** The workspaces of this repository and their source files. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

export interface Workspace {
  /** `@assay/registry` */
  readonly name: string;
  /** `services/registry` */
  readonly path: string;
  /** Subpaths of its `exports` (`.`, `./conformance`). */
  readonly exports: readonly string[];
  /** Names of what it may import from `node_modules`. */
  readonly dependencies: readonly string[];
}

export function readWorkspaces(root: string): { workspaces: Workspace[]; rootDevDependencies: string[] } {
  const manifest = readManifest(root);
  const workspaces = (manifest.workspaces ?? [])
    .flatMap((pattern) => (pattern.endsWith('/*') ? foldersIn(root, pattern.slice(0, -2)) : [pattern]))
    .map((path) => {
      const { name, exports, dependencies, devDependencies } = readManifest(join(root, path));
      return {
        name: name ?? path,
        path,
        exports: Object.keys(exports ?? {}),
        dependencies: Object.keys({ ...dependencies, ...devDependencies }),
      };
    });
  return { workspaces, rootDevDependencies: Object.keys(manifest.devDependencies ?? {}) };
}

interface Manifest {
  readonly name?: string;
  readonly workspaces?: string[];
  readonly exports?: Record<string, unknown>;
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
}

function readManifest(dir: string): Manifest {
  return JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as Manifest; // npm has read it before us
}

function foldersIn(root: string, parent: string): string[] {
  return readdirSync(join(root, parent))
    .map((name) => `${parent}/${name}`)
    .filter((path) => statSync(join(root, path, 'package.json'), { throwIfNoEntry: false })?.isFile())
    .sort();
}

/** Every TypeScript file of a workspace, relative to the root, `/`-separated, sorted. */
export function sourceFiles(root: string, workspace: Workspace): string[] {
  return readdirSync(join(root, workspace.path), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((file) => !/\/(node_modules|dist|\.[^/]*)\//.test(file))
    .sort();
}
