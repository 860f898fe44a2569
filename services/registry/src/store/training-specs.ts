/** Training specs by name: kept here, and read by the training service when a job is made of one. */
import { createHash } from 'node:crypto';
import { isAbsolute } from 'node:path';
import {
  AssayError,
  canonicalJson,
  type KeptTrainingSpec,
  type Page,
  type PutTrainingSpec,
  type TrainingSpec,
} from '@assay/contracts';
import { type Actor, change, type Store } from './change.ts';
import {
  type DocumentKind,
  deleteDocument,
  listDocuments,
  type NamedDocument,
  requireDocument,
  setDocument,
} from './named-documents.ts';
import type { Queryable } from './tables.ts';

const TRAINING_SPEC: DocumentKind = { kind: 'training-spec', noun: 'training spec' };

/** @throws AssayError NOT_FOUND with the nearest name */
export async function getTrainingSpec(db: Queryable, name: string): Promise<KeptTrainingSpec> {
  return keptSpec(await requireDocument<TrainingSpec>(db, TRAINING_SPEC, name));
}

/** By name, ascending. */
export async function listTrainingSpecs(
  db: Queryable,
  page: { readonly after?: string; readonly limit: number },
): Promise<Page<KeptTrainingSpec>> {
  const { items, ...rest } = await listDocuments<TrainingSpec>(db, TRAINING_SPEC, page);
  return { items: items.map(keptSpec), ...rest };
}

/** @throws AssayError STALE_REVISION; INVALID_ARGUMENT for data that means something else elsewhere */
export function putTrainingSpec(
  store: Store,
  actor: Actor,
  name: string,
  { expectedRevision, spec }: PutTrainingSpec,
): Promise<KeptTrainingSpec> {
  checkSource(spec);
  return change(store, actor, async (change) => {
    const details = { specSha256: digestOf(spec) };
    return keptSpec(await setDocument(change, TRAINING_SPEC, name, expectedRevision, spec, details));
  });
}

/** @throws AssayError NOT_FOUND, STALE_REVISION */
export function deleteTrainingSpec(store: Store, actor: Actor, name: string, expectedRevision: number): Promise<void> {
  return change(store, actor, (change) => deleteDocument(change, TRAINING_SPEC, name, expectedRevision));
}

/** Whoever trains by its name has no folder that a path could start from. */
function checkSource({ source }: TrainingSpec): void {
  if (!('path' in source) || isAbsolute(source.path)) return;
  const place = 'spec.source.path';
  const message = `"${source.path}" is relative, and a spec that is kept is in no folder`;
  const expected = 'a registered dataset in spec.source.dataset, or an absolute path';
  throw new AssayError('INVALID_ARGUMENT', `${place}: ${message}`, { details: [{ place, message, expected }] });
}

function keptSpec({ content: spec, ...rest }: NamedDocument<TrainingSpec>): KeptTrainingSpec {
  return { ...rest, spec, specSha256: digestOf(spec) };
}

/** As the training service writes it into lineage and audit. */
function digestOf(spec: TrainingSpec): string {
  return createHash('sha256').update(canonicalJson(spec)).digest('hex');
}
