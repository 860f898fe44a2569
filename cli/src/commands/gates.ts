/** `assay gates`: what a version must meet before an alias or an endpoint goes to it. */
import { createRegistryClient } from '@assay/client';
import { type GateReport, Gates, type ModelGates } from '@assay/contracts';
import { EXIT_CODES, parseYaml } from '@assay/runtime';
import type { Io } from '../io.ts';
import { instant, json } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { readUserFile } from '../user-files.ts';
import { suggestModel } from './models.ts';

export async function show(io: Io, model: string, options: TargetOptions): Promise<void> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const found = await registry
    .getGates(model, { signal: io.signal })
    .catch((error: unknown) => suggestModel(registry, model, error, io.signal));
  io.out(options.json ? json(found) : gatesText(found));
}

export async function set(io: Io, model: string, file: string, options: TargetOptions): Promise<void> {
  const gates = parseYaml(Gates, await readUserFile(io, file), file);
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const { revision } = await registry
    .getGates(model, { signal: io.signal })
    .catch((error: unknown) => suggestModel(registry, model, error, io.signal));
  const made = await registry.setGates(model, { expectedRevision: revision, gates }, { signal: io.signal });
  io.out(options.json ? json(made) : gatesText(made));
}

/** @returns the exit code: whether the alias may move */
export async function check(
  io: Io,
  model: string,
  version: string,
  options: TargetOptions & { readonly alias?: string },
): Promise<number> {
  await using registry = createRegistryClient(await peerOf('registry', io, options));
  const query = options.alias === undefined ? {} : { alias: options.alias };
  const report = await registry
    .checkGates(model, version, query, { signal: io.signal })
    .catch((error: unknown) => suggestModel(registry, model, error, io.signal));
  io.out(options.json ? json(report) : reportText(report));
  return report.passed ? EXIT_CODES.ok.code : EXIT_CODES.refused.code;
}

function gatesText({ modelName, gates, revision, updatedAt, updatedBy }: ModelGates): string {
  if (updatedAt === undefined) return `${modelName} has no gates.\n`;
  return `${modelName}, revision ${revision}, ${instant(updatedAt)} by ${updatedBy}\n${json(gates)}`;
}

function reportText(report: GateReport): string {
  const what = `${report.alias} of ${report.modelName}`;
  const verdict = report.guarded
    ? `${what} ${report.passed ? 'may' : 'may not'} move to version ${report.version}.`
    : `${what} is not guarded: it may move to version ${report.version}.`;
  const lines = report.gates.flatMap(({ gate, passed, required, found, action }) => [
    `${passed ? 'met    ' : 'missing'}  ${gate}: ${required}`,
    `         there is: ${found}`,
    ...(action === undefined ? [] : [`         to do: ${action}`]),
  ]);
  return `${[verdict, ...lines].join('\n')}\n`;
}
