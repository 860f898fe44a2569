#!/usr/bin/env node
// The `assay` command: finds a Node that is new enough and runs the bundle, or the sources where nothing was built.
// Old JavaScript on purpose: this file must load, and speak plainly, on Node 12.
// biome-ignore-all lint/style/useNodejsImportProtocol: the first Nodes of line 12 do not know it
import { spawn, spawnSync } from 'child_process';
import { existsSync, realpathSync } from 'fs';
import { dirname, join } from 'path';
import { fileURLToPath, pathToFileURL } from 'url';
import { chooseNode } from './choose-node.mjs';

const UNAVAILABLE = 3; // as in the table of exit codes

const root = join(dirname(realpathSync(fileURLToPath(import.meta.url))), '..', '..');
const bundle = join(root, 'dist', 'entries', 'cli.mjs');
const program = existsSync(bundle) ? bundle : join(root, 'cli', 'src', 'main.ts');
const binary = join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');

const choice = chooseNode({
  currentVersion: process.versions.node,
  currentPath: realpathSync(process.execPath),
  workspaceNode: existsSync(binary) ? realpathSync(binary) : undefined,
  probe: (path) => {
    const run = spawnSync(path, ['-v'], { encoding: 'utf8' });
    return { ok: run.status === 0, stderr: run.stderr || (run.error ? run.error.message : '') };
  },
});

if (choice.problem !== undefined) fail(choice.problem);
else if (!existsSync(join(root, 'node_modules'))) fail(`nothing is installed yet; run \`make setup\` in ${root}.`);
else if (choice.node === realpathSync(process.execPath)) import(pathToFileURL(program).href);
else runWith(choice.node);

function fail(problem) {
  process.stderr.write(`assay: ${problem}\n`);
  process.exitCode = UNAVAILABLE;
}

function runWith(node) {
  // The channel tells the program that this process is gone, however it went: then it stops, too.
  const child = spawn(node, [program].concat(process.argv.slice(2)), {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  const forward = (signal) => {
    // A terminal sends Ctrl-C to both of us, and a second one would mean "at once".
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    child.kill(signal);
  };
  ['SIGINT', 'SIGTERM', 'SIGHUP'].forEach((signal) => {
    process.on(signal, forward);
  });
  child.on('error', (error) => {
    fail(`cannot run ${node}: ${error.message}`);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) return process.exit(code);
    process.removeListener(signal, forward);
    process.kill(process.pid, signal);
  });
}
