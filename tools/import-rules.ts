/**
 * The import rules of the architecture. They hold for every import alike, those of types and of tests included.
 *
 * 1. A package imports only packages above it in PACKAGE_ORDER, and no service.
 * 2. A service imports packages; no service imports another. Only standalone imports services, and the command line,
 *    which loads them when a command needs them (`import()`).
 * 3. `domain/` reaches no door and no driver: not directly, and not by way of other files of its service.
 * 4. A workspace is entered by its exports only: no path into another's files.
 * 5. What is imported is declared in the workspace's own package.json.
 * 6. What runs in production imports no test and no test runner.
 * 7. There are no default exports.
 * 8. The synchronous native run of ONNX Runtime is imported by one file.
 */
import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { type Import, readImports } from './read-imports.ts';
import { readWorkspaces, sourceFiles, type Workspace } from './workspaces.ts';

/** From the ground up: each imports only those before it. */
export const PACKAGE_ORDER = [
  'contracts',
  'statistics',
  'runtime',
  'model-package',
  'onnx',
  'tables',
  'database',
  'blobs',
  'kafka',
  'events',
  'jobs',
  'scoring',
  'http',
  'lane',
  'client',
  'access',
  'job-service',
] as const;

/** What the rules of a service must not know: HTTP, Kafka, SQL, Kubernetes, ONNX. */
const NOT_IN_DOMAIN = [
  /^fastify$/,
  /^@fastify\//,
  /^@assay\/(http|database|kafka|onnx|tables)(\/|$)/,
  /^(kafkajs|kysely|better-sqlite3|pg|koffi|undici)(\/|$)/,
  /^@(kubernetes|duckdb|grpc|platformatic|confluentinc)\//,
  /^onnxruntime-/,
  /^node:(sqlite|http|https|http2|net)$/,
];
const NATIVE_RUN = /^onnxruntime-node\/dist\//;

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

interface SourceFile {
  readonly path: string;
  readonly workspace: Workspace;
  readonly imports: readonly Import[];
}

/** Every import below `root` that breaks a rule, in the order of files and lines. */
export function findViolations(root: string): Violation[] {
  const { workspaces, rootDevDependencies } = readWorkspaces(root);
  const byName = new Map(workspaces.map((workspace) => [workspace.name, workspace]));
  const files = new Map<string, SourceFile>();
  const violations: Violation[] = [];
  for (const workspace of workspaces) {
    for (const path of sourceFiles(root, workspace)) {
      const { imports, defaultExports } = readImports(path, readFileSync(join(root, path), 'utf8'));
      files.set(path, { path, workspace, imports });
      if (path.endsWith('.config.ts')) continue;
      for (const line of defaultExports) violations.push({ file: path, line, message: 'export a name, not a default' });
    }
  }
  for (const file of files.values()) {
    for (const found of file.imports) {
      const messages = [
        ...orderBroken(file, found, byName),
        ...entranceBroken(file, found, byName),
        ...undeclared(file, found, rootDevDependencies),
        ...testImported(file, found),
      ];
      violations.push(...messages.map((message) => ({ file: file.path, line: found.line, message })));
    }
    violations.push(...domainBroken(file, files));
  }
  violations.push(...nativeRunBroken([...files.values()]));
  return violations.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
}

function orderBroken({ workspace }: SourceFile, found: Import, byName: ReadonlyMap<string, Workspace>): string[] {
  const target = byName.get(packageOf(found.specifier) ?? '');
  if (target === undefined || target === workspace) return [];
  const [from, to] = [kindOf(workspace), kindOf(target)];
  const named = `${workspace.path} imports ${target.path}`;
  if (from === 'other') return []; // tools and whole-system tests may look anywhere
  if (to === 'other' || to === 'cli') return [`${named}: nothing imports that`];
  if (from === 'package' && to === 'package') {
    const rank = (of: Workspace): number => (PACKAGE_ORDER as readonly string[]).indexOf(nameOf(of));
    if (rank(workspace) === -1) return [`packages/${nameOf(workspace)} has no place in the order of packages`];
    return rank(target) < rank(workspace)
      ? []
      : [`${named}: a package imports only those above it (${PACKAGE_ORDER.join(', ')})`];
  }
  if (from === 'package') return [`${named}: packages know no service`];
  if (from === 'service' && to !== 'package') return [`${named}: services speak by the client, over the network`];
  if (from === 'standalone' && to === 'standalone') return [];
  if (from === 'cli' && to !== 'package' && found.kind === 'static') {
    return [`${named} when it loads: a command loads a service only when it needs it, by import()`];
  }
  return [];
}

function entranceBroken(file: SourceFile, found: Import, byName: ReadonlyMap<string, Workspace>): string[] {
  const { specifier } = found;
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(file.path), specifier);
    return target.startsWith(`${file.workspace.path}/`) || kindOf(file.workspace) === 'other'
      ? []
      : [`${specifier} leads out of ${file.workspace.path}; import another workspace by its name`];
  }
  const target = byName.get(packageOf(specifier) ?? '');
  if (target === undefined) return [];
  const subpath = `.${specifier.slice(target.name.length)}`;
  return target.exports.includes(subpath)
    ? []
    : [`${specifier} is not among the exports of ${target.path} (${target.exports.join(', ') || 'none'})`];
}

function undeclared({ path, workspace }: SourceFile, found: Import, rootDevDependencies: readonly string[]): string[] {
  const name = packageOf(found.specifier);
  if (name === undefined || name === workspace.name || workspace.dependencies.includes(name)) return [];
  if (isTest(path) || kindOf(workspace) === 'other') {
    if (rootDevDependencies.includes(name) || name.startsWith('@assay/')) return [];
  }
  return [`${name} is not among the dependencies in ${workspace.path}/package.json`];
}

function testImported({ path, workspace }: SourceFile, found: Import): string[] {
  if (isTest(path) || kindOf(workspace) === 'other') return [];
  const test = found.specifier === 'vitest' || /(\.test\.ts|\/conformance(\.ts)?)$/.test(found.specifier);
  return test ? [`${found.specifier} belongs to tests`] : [];
}

/** Tests, the suites that drivers share, and fakes that tests share. */
function isTest(path: string): boolean {
  return (
    /(\.test\.ts|\/conformance\.ts|\/(fake|test)-[^/]*\.ts|-under-test\.ts)$/.test(path) ||
    /\/(testing|fixtures)\//.test(path)
  );
}

function domainBroken(start: SourceFile, files: ReadonlyMap<string, SourceFile>): Violation[] {
  if (!/^services\/[^/]+\/src\/domain\//.test(start.path) || isTest(start.path)) return [];
  const violations: Violation[] = [];
  const seen = new Set([start.path]);
  const visit = (file: SourceFile, way: readonly string[], startLine: number | undefined): void => {
    for (const found of file.imports) {
      const line = startLine ?? found.line;
      if (NOT_IN_DOMAIN.some((pattern) => pattern.test(found.specifier))) {
        const by = way.length === 0 ? '' : ` by way of ${way.join(' → ')}`;
        violations.push({ file: start.path, line, message: `domain/ reaches ${found.specifier}${by}` });
      }
      if (!found.specifier.startsWith('.')) continue;
      const next = files.get(posix.join(posix.dirname(file.path), found.specifier));
      if (next === undefined || seen.has(next.path)) continue;
      seen.add(next.path);
      visit(next, [...way, next.path], line);
    }
  };
  visit(start, [], undefined);
  return violations;
}

function nativeRunBroken(files: readonly SourceFile[]): Violation[] {
  const places = files.flatMap(({ path, imports }) =>
    imports.filter(({ specifier }) => NATIVE_RUN.test(specifier)).map(({ line }) => ({ file: path, line })),
  );
  const first = places[0]?.file;
  return places
    .filter(({ file }) => file !== first || dirname(file) !== 'packages/scoring/src')
    .map((place) => ({ ...place, message: 'the native binding is imported by one file, in packages/scoring/src' }));
}

/** The npm name of a bare specifier; undefined for files and Node's own modules. */
function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith('.') || specifier.startsWith('/') || isBuiltin(specifier)) return undefined;
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function nameOf(workspace: Workspace): string {
  return posix.basename(workspace.path);
}

function kindOf(workspace: Workspace): 'package' | 'service' | 'standalone' | 'cli' | 'other' {
  if (workspace.path.startsWith('packages/')) return 'package';
  if (workspace.path === 'services/standalone') return 'standalone';
  if (workspace.path.startsWith('services/')) return 'service';
  return workspace.path === 'cli' ? 'cli' : 'other';
}
