/** Pipelines of stream scoring: kept here, run by the inference services that take them from the routing snapshot. */
import {
  AssayError,
  type KeptPipeline,
  MAX_PIPELINES,
  type Page,
  type Pipeline,
  type PipelineSpec,
  type PutPipeline,
  pipelineProblems,
} from '@assay/contracts';
import { type Actor, type Change, change, type Store } from './change.ts';
import { requireEndpoint } from './endpoint-rows.ts';
import {
  type DocumentKind,
  deleteDocument,
  listDocuments,
  type NamedDocument,
  requireDocument,
  setDocument,
} from './named-documents.ts';
import type { Queryable } from './tables.ts';

const PIPELINE: DocumentKind = { kind: 'pipeline', noun: 'pipeline' };

/** @throws AssayError NOT_FOUND with the nearest name */
export async function getPipeline(db: Queryable, name: string): Promise<KeptPipeline> {
  return keptPipeline(await requireDocument<PipelineSpec>(db, PIPELINE, name));
}

/** By name, ascending. */
export async function listPipelines(
  db: Queryable,
  page: { readonly after?: string; readonly limit: number },
): Promise<Page<KeptPipeline>> {
  const { items, ...rest } = await listDocuments<PipelineSpec>(db, PIPELINE, page);
  return { items: items.map(keptPipeline), ...rest };
}

/** Every one, as they run. */
export async function allPipelines(db: Queryable): Promise<Pipeline[]> {
  const { items } = await listDocuments<PipelineSpec>(db, PIPELINE, { limit: MAX_PIPELINES });
  return items.map(({ name, content }) => ({ name, ...content }));
}

/**
 * @throws AssayError STALE_REVISION; NOT_FOUND for its endpoint; INVALID_ARGUMENT with the places that contradict each other
 *   or another pipeline; FAILED_PRECONDITION for one too many
 */
export function putPipeline(store: Store, actor: Actor, name: string, body: PutPipeline): Promise<KeptPipeline> {
  const { expectedRevision, ...spec } = body;
  return change(store, actor, async (change) => {
    const set = await setDocument<PipelineSpec>(change, PIPELINE, name, expectedRevision, spec, {});
    await requireEndpoint(change.trx, spec.endpoint);
    await checkTogether(change, name);
    if (set.revision !== expectedRevision) change.rerouted();
    return keptPipeline(set);
  });
}

/** @throws AssayError NOT_FOUND, STALE_REVISION */
export function deletePipeline(store: Store, actor: Actor, name: string, expectedRevision: number): Promise<void> {
  return change(store, actor, async (change) => {
    await deleteDocument(change, PIPELINE, name, expectedRevision);
    change.rerouted();
  });
}

/** @throws AssayError FAILED_PRECONDITION where a pipeline scores at the endpoint */
export async function refuseWhilePiped(db: Queryable, endpoint: string): Promise<void> {
  const users = (await allPipelines(db)).filter((pipeline) => pipeline.endpoint === endpoint).map(({ name }) => name);
  if (users.length === 0) return;
  throw new AssayError(
    'FAILED_PRECONDITION',
    `endpoint "${endpoint}" is what pipeline ${users.join(', ')} scores at; change or delete the pipeline first`,
  );
}

/** Looks at all of them as they are within the change. */
async function checkTogether({ trx }: Change, name: string): Promise<void> {
  const { items, next } = await listDocuments<PipelineSpec>(trx, PIPELINE, { limit: MAX_PIPELINES });
  if (next !== undefined) {
    throw new AssayError('FAILED_PRECONDITION', `there are ${MAX_PIPELINES} pipelines, the most that may be`);
  }
  // This one last: where two contradict each other it is the one that is told so.
  const others = items.filter((item) => item.name !== name);
  const own = items.filter((item) => item.name === name);
  const all = [...others, ...own].map((item): Pipeline => ({ name: item.name, ...item.content }));
  const details = pipelineProblems(all).map(({ key, message, expected }) => ({ place: key, message, expected }));
  const [first] = details;
  if (first === undefined) return;
  throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}`, { details });
}

function keptPipeline({ name, content, revision, updatedAt, updatedBy }: NamedDocument<PipelineSpec>): KeptPipeline {
  return { name, ...content, revision, updatedAt, updatedBy };
}
