/**
 * Writes the bundle: `node tools/build.ts` → `dist/entries/*.mjs` (one for each `src/entries/*.ts` and the command
 * line), `dist/chunks/*.mjs` (what they share; drivers in chunks of their own, loaded when chosen), source maps, and
 * `dist/meta.json` (which sources are in which file). Native packages stay in `node_modules`.
 */
import { readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire, isBuiltin } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { readWorkspaces, sourceFiles } from './workspaces.ts';

/** Native code, packages that find files beside themselves, and one whose parts are replaced when it is loaded. */
const EXTERNAL = ['onnxruntime-node', 'koffi', '@duckdb/node-api', 'better-sqlite3', '@fastify/swagger-ui', 'kafkajs'];

/** What CommonJS packages expect, and an ES module has not. */
export const COMMONJS_NAMES = [
  "const require = process.getBuiltinModule('node:module').createRequire(import.meta.url);",
  'const { filename: __filename, dirname: __dirname } = import.meta;',
].join(' ');

/**
 * Modules of Node as objects of which only what is used is read. Imported, each of their properties is read, also those that
 * are made by that: `node:http` then loads fetch, a WebSocket client and zip archives, 6 MB that no service has a use for.
 */
const UNREAD_BUILTINS: Plugin = {
  name: 'unread-builtins',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[a-z:/_0-9]+$/ }, ({ path, kind }) => {
      if (kind !== 'import-statement' || !isBuiltin(path)) return undefined;
      const name = path.replace(/^node:/, '');
      const isRead = propertiesOf(name).some(([, { get }]) => get !== undefined);
      return isRead ? { path: name, namespace: 'unread', sideEffects: false } : undefined;
    });
    onLoad({ filter: /./, namespace: 'unread' }, ({ path: name }) => ({
      contents: [
        `const builtin = process.getBuiltinModule('node:${name}');`,
        'export default builtin;',
        ...propertiesOf(name).map(([key]) => `export const ${key} = /* @__PURE__ */ (() => builtin.${key})();`),
      ].join('\n'),
    }));
  },
};

/** What a module of Node exports, without reading it. */
function propertiesOf(builtin: string): [string, PropertyDescriptor][] {
  return Object.entries(Object.getOwnPropertyDescriptors(createRequire(import.meta.url)(`node:${builtin}`)));
}

/** Require TLS when they are loaded, for servers that speak it and for a push gateway; both ask it for functions only. */
const EARLY_TLS = /\/node_modules\/(fastify\/lib\/server|prom-client\/lib\/pushgateway)\.js$/;

/** TLS when it is used: loading it reads every root certificate, in a thread, which takes 3 MB and time of the start. */
const LATE_TLS: Plugin = {
  name: 'late-tls',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?(https|http2)$/ }, ({ path, importer }) =>
      EARLY_TLS.test(importer) ? { path: path.replace(/^node:/, ''), namespace: 'late' } : undefined,
    );
    onLoad({ filter: /./, namespace: 'late' }, ({ path: name }) => ({
      contents: `module.exports = new Proxy({}, { get: (_, key) => process.getBuiltinModule('node:${name}')[key] });`,
    }));
  },
};

/** `cli` → cli/src/main.ts; `services-training-job` → services/training/src/entries/job.ts. */
export function entryPoints(root: string): Record<string, string> {
  const entries: Record<string, string> = { cli: 'cli/src/main.ts' };
  for (const workspace of readWorkspaces(root).workspaces) {
    for (const file of sourceFiles(root, workspace)) {
      if (!file.startsWith(`${workspace.path}/src/entries/`) || file.endsWith('.test.ts')) continue;
      entries[`${workspace.path.replaceAll('/', '-')}-${basename(file, '.ts')}`] = file;
    }
  }
  return entries;
}

/**
 * Builds everything, then takes the place of `outdir`, so that a build that fails leaves the old one.
 * @param more entries besides those of `entryPoints`
 */
export async function buildBundle(
  root: string,
  outdir: string,
  more: Readonly<Record<string, string>> = {},
): Promise<{ files: number; sizeBytes: number }> {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }; // our own
  const { metafile, outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: Object.entries({ ...entryPoints(root), ...more }).map(([out, file]) => ({
      in: file,
      out: `entries/${out}`,
    })),
    outdir,
    write: false,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    external: EXTERNAL,
    plugins: [UNREAD_BUILTINS, LATE_TLS],
    banner: { js: COMMONJS_NAMES },
    define: { ASSAY_BUNDLE_VERSION: JSON.stringify(version) },
    logLevel: 'warning',
  });
  // Whole or as it was: written elsewhere on the same disk, then moved.
  await mkdir(join(root, '.cache'), { recursive: true });
  const fresh = await mkdtemp(join(root, '.cache', 'bundle-'));
  try {
    for (const { path, contents } of outputFiles) {
      const target = join(fresh, relative(outdir, path));
      await mkdir(dirname(target), { recursive: true });
      await writeFile(target, path.endsWith('.mjs') ? inAscii(Buffer.from(contents).toString()) : contents);
    }
    await writeFile(join(fresh, 'meta.json'), JSON.stringify(slim(metafile.outputs, relative(root, outdir))));
    await rm(outdir, { recursive: true, force: true });
    await chmod(fresh, 0o755); // mkdtemp makes it private
    await rename(fresh, outdir);
    const outputs = Object.entries(metafile.outputs).filter(([file]) => file.endsWith('.mjs'));
    return { files: outputs.length, sizeBytes: outputs.reduce((sum, [, { bytes }]) => sum + bytes, 0) };
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Where esbuild leaves text as it was: it escapes the rest. */
const COMMENT = /(?:^\s*(?:\/?\*|\(\*)|\/\/).*$/gm;

/**
 * One character beyond ASCII, in whatever comment, and V8 holds the whole file in two bytes a character: some 3 MB of every
 * process. Lines keep their lengths, and source maps their places.
 */
function inAscii(script: string): string {
  return script.replace(COMMENT, (line) => line.replace(/[^\0-\x7f]/g, '?'));
}

/** `{"entries/cli.mjs": ["cli/src/main.ts", …]}` */
function slim(outputs: Record<string, { inputs: Record<string, unknown> }>, outdir: string): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(outputs)
      .filter(([file]) => file.endsWith('.mjs'))
      .map(([file, { inputs }]) => [relative(outdir, file), Object.keys(inputs)]),
  );
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  const startedMs = performance.now();
  const { files, sizeBytes } = await buildBundle(root, join(root, 'dist'));
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`dist: ${files} files, ${(sizeBytes / 1e6).toFixed(1)} MB, in ${seconds} s\n`);
}
