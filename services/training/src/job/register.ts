/** The last stage: the package becomes a version of its model, once, however often the job was begun. */

import type { RegistryClient } from '@assay/client';
import { AssayError, type TrainingSpec, type Version } from '@assay/contracts';

const MAX_ALIAS_TRIES = 5;

export interface Registration {
  readonly registry: RegistryClient;
  readonly spec: TrainingSpec;
  readonly jobId: string;
  readonly packageDir: string;
  readonly signal: AbortSignal;
  /** For the log of the job. */
  note(message: string): void;
}

/**
 * Registers the package under the job's id as idempotency key, and moves the alias of the spec to it. Where gates hold the
 * alias back, the version is there all the same, and waits for people: the job has done its work.
 */
export async function registerVersion(registration: Registration): Promise<Version> {
  const { registry, spec, jobId, packageDir, signal, note } = registration;
  await ensureModel(registry, spec, signal);
  const version = await registry.uploadPackage(spec.model, packageDir, {
    idempotencyKey: jobId,
    ...(spec.description === undefined ? {} : { description: spec.description }),
    tags: { ...spec.register?.tags, job: jobId },
    signal,
  });
  const alias = spec.register?.alias;
  if (alias === undefined) return version;
  try {
    await moveAlias(registry, spec.model, version, alias, signal);
  } catch (error) {
    const { code, message, details } = AssayError.from(error);
    const isHeldByGates = code === 'FAILED_PRECONDITION' && details.some(({ place }) => place.startsWith('gates.'));
    if (!isHeldByGates) throw error;
    note(message);
    for (const { place, message: found, expected } of details) note(`${place}: required: ${expected}; ${found}`);
  }
  return version;
}

async function ensureModel(registry: RegistryClient, spec: TrainingSpec, signal: AbortSignal): Promise<void> {
  try {
    await registry.getModel(spec.model, { signal });
    return;
  } catch (error) {
    if (AssayError.from(error).code !== 'NOT_FOUND') throw error;
  }
  const { model: name, description } = spec;
  try {
    await registry.createModel({ name, ...(description === undefined ? {} : { description }) }, { signal });
  } catch (error) {
    if (AssayError.from(error).code !== 'ALREADY_EXISTS') throw error; // else another job was faster
  }
}

/** Compare-and-set, tried again on what it became when another moved it meanwhile. */
async function moveAlias(
  registry: RegistryClient,
  model: string,
  version: Version,
  alias: string,
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    const current = await registry.getAlias(model, alias, { signal }).catch((error: unknown) => {
      if (AssayError.from(error).code === 'NOT_FOUND') return undefined;
      throw error;
    });
    if (current?.versionId === version.id) return;
    try {
      const expectedRevision = current?.revision ?? 0;
      await registry.moveAlias(model, alias, { version: version.id, expectedRevision }, { signal });
      return;
    } catch (error) {
      if (AssayError.from(error).code !== 'STALE_REVISION' || tries === MAX_ALIAS_TRIES) throw error;
    }
  }
}
