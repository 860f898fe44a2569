/** Which webhooks hear of an event, and behind which others it waits. */
import type { Event } from '@assay/contracts';

export interface WebhookFilter {
  /** Empty: all. */
  readonly events: readonly string[];
  readonly models: readonly string[];
}

/** @param models the ids of the models that the event is about */
export function isWanted({ events, models }: WebhookFilter, event: Event, about: readonly string[]): boolean {
  if (events.length > 0 && !events.includes(event.type)) return false;
  return models.length === 0 || models.some((model) => about.includes(model));
}

/** What is needed of the resources that events carry. */
interface Resource {
  readonly modelId?: string;
  readonly datasetId?: string;
  readonly follow?: { readonly modelId: string };
  readonly variants?: readonly { readonly versionId: string }[];
}

/** The resource of an event of this registry. */
function resourceOf({ data }: Event): Resource {
  return typeof data === 'object' && data !== null ? data : {};
}

/** Events of one key are delivered in their order: a model with its versions, a dataset with its versions, an endpoint. */
export function orderKeyOf(event: Event): string {
  const { modelId, datasetId } = resourceOf(event);
  return modelId ?? datasetId ?? event.subject;
}

/** What an event says of the models that it is about. `versions`: of endpoints, whose models are to be looked up. */
export function aboutOf(event: Event): { readonly models: readonly string[]; readonly versions: readonly string[] } {
  const { modelId, follow, variants = [] } = resourceOf(event);
  const own = event.type.startsWith('assay.model.') ? [event.subject] : [];
  return {
    models: [...own, ...(modelId === undefined ? [] : [modelId]), ...(follow === undefined ? [] : [follow.modelId])],
    versions: variants.map(({ versionId }) => versionId),
  };
}
