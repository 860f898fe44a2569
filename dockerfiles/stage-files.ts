/**
 * The files of an image, picked from what was built and installed: the entry's part of the bundle, the packages that it
 * loads from node_modules, and of native packages the library of this platform's CPU alone.
 *
 * `node dockerfiles/stage-files.ts SERVICE FOLDER` writes FOLDER/dist and FOLDER/node_modules.
 */
import { cp, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { basename, dirname, join, relative, sep } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/** The program that an image runs, below dist/entries. */
export const ENTRIES: Readonly<Record<string, string>> = {
  registry: 'services-registry-registry.mjs',
  inference: 'services-inference-inference.mjs',
  training: 'services-training-training.mjs',
  batch: 'services-batch-batch.mjs',
  monitoring: 'services-monitoring-monitoring.mjs',
  standalone: 'cli.mjs',
};

/** What the pod of a job runs: it has the image of the service that launched it. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  training: ['services-training-job.mjs', 'packages-jobs-pod.mjs'],
  batch: ['services-batch-job.mjs', 'packages-jobs-pod.mjs'],
};

export interface Picked {
  /** Below dist. */
  readonly files: readonly string[];
  /** Names of packages. */
  readonly packages: readonly string[];
}

/** Follows imports from the entries: chunks, entries of child processes and threads, packages outside the bundle. */
export async function pick(dist: string, entries: readonly string[]): Promise<Picked> {
  const files = new Set<string>();
  const packages = new Set<string>();
  const todo = entries.map((entry) => join('entries', entry));
  for (let file = todo.pop(); file !== undefined; file = todo.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    const text = await readFile(join(dist, file), 'utf8');
    for (const specifier of importsOf(text)) {
      if (specifier.startsWith('.')) todo.push(join(dirname(file), specifier));
      else if (!isBuiltin(specifier)) packages.add(packageName(specifier));
    }
    for (const entry of entryUrls(text)) todo.push(join('entries', entry));
  }
  return { files: [...files].sort(), packages: [...packages].sort() };
}

/** As esbuild writes them; comments, with the examples in them, left out. */
function importsOf(text: string): string[] {
  const code = text.replaceAll(/^\s*(\*|\/\/|\/\*).*$/gm, '');
  const found = code.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\d*\(\s*)"([^"\n]+)"/g);
  return [...found].map(([, specifier]) => specifier ?? '').filter((specifier) => /^[.@a-z]/.test(specifier));
}

/** The other way to a file: `entryUrl("packages/scoring", "check-package")`, see packages/runtime/src/entries.ts. */
function entryUrls(text: string): string[] {
  const found = text.matchAll(/\bentryUrl\("([^"]+)",\s*"([^"]+)"\)/g);
  return [...found].map(([, owner = '', name = '']) => `${owner.replaceAll('/', '-')}-${name}.mjs`);
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

const ARCH = process.arch;

/** What of a native package is needed, where that is not all of it; and dependencies that only its installation needs. */
const NATIVE: Readonly<Record<string, { readonly keep: RegExp; readonly withoutDependencies?: RegExp }>> = {
  'onnxruntime-node': {
    keep: new RegExp(
      `^(package\\.json|LICENSE|dist/.*\\.js|bin/napi-v6/linux/${ARCH}/(libonnxruntime\\.so.*|onnxruntime_binding\\.node))$`,
    ),
    withoutDependencies: /^(adm-zip|global-agent)$/,
  },
  'better-sqlite3': { keep: new RegExp(`^(package\\.json|LICENSE|lib/.*\\.js|prebuilds/linux-${ARCH}\\.node)$`) },
  koffi: { keep: /^(package\.json|LICENSE\.txt|(src\/koffi\/.*|index|indirect)\.c?js)$/ },
  [`@koromix/koffi-linux-${ARCH}`]: { keep: new RegExp(`^(package\\.json|index\\.js|linux_${ARCH}/.*)$`) },
};
/** Of any other package. */
const NEVER_NEEDED =
  /(^|\/)(docs?|tests?|__tests__|examples?|benchmarks?|\.github)\/|\.(md|markdown|ts|mts|cts|map|flow)$/i;
const LICENCE = /(^|\/)(licen[cs]e|notice)[^/]*$/i;

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The folders of the packages and of all that they need, where Node would find them; optional ones that are here. */
async function closure(packages: readonly string[], root: string): Promise<string[]> {
  const folders = new Set<string>();
  const todo: { name: string; from: string; optional: boolean }[] = packages.map((name) => ({
    name,
    from: root,
    optional: true, // a bundle names packages that it can do without: `pg-native`
  }));
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    const folder = await locate(next.name, next.from, root);
    if (folder === undefined) {
      if (next.optional) continue;
      throw new Error(`${next.name}, which ${next.from} needs, is not installed; run \`make setup\``);
    }
    if (folders.has(folder)) continue;
    folders.add(folder);
    const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest; // as npm installed it
    const skipped = NATIVE[next.name]?.withoutDependencies;
    for (const [dependencies, optional] of [
      [manifest.dependencies, false],
      [manifest.optionalDependencies, true],
    ] as const) {
      for (const name of Object.keys(dependencies ?? {})) {
        if (skipped?.test(name) !== true) todo.push({ name, from: folder, optional });
      }
    }
  }
  return [...folders].sort();
}

async function locate(name: string, from: string, root: string): Promise<string | undefined> {
  for (let dir = from; ; dir = dirname(dir)) {
    const folder = join(dir, 'node_modules', name);
    if (await exists(join(folder, 'package.json'))) return folder;
    if (dir === root || dir === dirname(dir)) return undefined;
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function copyPackage(folder: string, target: string): Promise<void> {
  const name = relative(join(ROOT, 'node_modules'), folder).split(`node_modules${sep}`).pop() ?? basename(folder);
  const keep = NATIVE[name]?.keep;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const inside = relative(folder, path).split(sep).join('/');
    if (inside.startsWith('node_modules/')) continue; // those that are needed are folders of their own
    const isNeeded = keep === undefined ? !NEVER_NEEDED.test(inside) || LICENCE.test(inside) : keep.test(inside);
    if (isNeeded) await copyFile(path, join(target, inside));
  }
}

async function copyFile(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await cp(from, to, { dereference: true });
}

/** Writes the files of a service's image into `target`, which is made anew. */
export async function stageFiles(service: string, target: string): Promise<Picked> {
  const entry = ENTRIES[service];
  if (entry === undefined)
    throw new Error(`there is no image ${service}; there are ${Object.keys(ENTRIES).join(', ')}`);
  const dist = join(ROOT, 'dist');
  if (!(await exists(join(dist, 'entries', entry)))) throw new Error(`dist/entries/${entry} is not built`);
  const also: string[] = [];
  for (const one of ALSO[service] ?? []) if (await exists(join(dist, 'entries', one))) also.push(one);
  const picked = await pick(dist, [entry, ...also]);
  await rm(target, { recursive: true, force: true });
  for (const file of picked.files) {
    await copyFile(join(dist, file), join(target, 'dist', file));
    await copyFile(join(dist, `${file}.map`), join(target, 'dist', `${file}.map`));
  }
  for (const folder of await closure(picked.packages, ROOT)) {
    await copyPackage(folder, join(target, relative(ROOT, folder)));
  }
  return picked;
}

if (import.meta.main) {
  const [service = '', target] = process.argv.slice(2);
  if (target === undefined) throw new Error('usage: stage-files SERVICE FOLDER');
  const { files, packages } = await stageFiles(service, target);
  process.stdout.write(`${service}: ${files.length} files of the bundle, packages ${packages.join(' ')}\n`);
}
