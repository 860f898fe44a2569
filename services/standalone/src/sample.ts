/** What can be scored right after a start: a record with real values, and the line for the shell that does it. */
import { setTimeout as delay } from 'node:timers/promises';
import { createRegistryClient, createScoringClient, decodeJson, encodeJson } from '@assay/client';
import { matches } from '@assay/contracts';
import Type from 'typebox';
import type { CallableServices } from './keys.ts';

/** How long a version may take to be fetched and loaded. */
const SERVED_TIMEOUT_MS = 30_000;

/** Of a package's assay.json, what is needed here. */
const Golden = Type.Object({
  golden: Type.Object({ records: Type.Array(Type.Record(Type.String(), Type.Unknown()), { minItems: 1 }) }),
});

/** What can be scored at once: the endpoint of a champion, and a record with real values. */
export interface Sample {
  readonly endpoint: string;
  readonly record: Readonly<Record<string, unknown>>;
}

/** A sample of the first model that has a champion; undefined where there is none. */
export async function findSample(services: CallableServices, signal: AbortSignal): Promise<Sample | undefined> {
  await using registry = createRegistryClient({ url: services.registry, bearerToken: services.key?.reveal() });
  const { items } = await registry.listModels({ limit: 100 }, { signal });
  for (const { id, name, aliases } of items) {
    if (aliases.champion === undefined) continue;
    const version = await registry.getVersion(id, aliases.champion, { signal });
    const manifest = decodeJson(await registry.readPackageFile(version.id, 'assay.json', { signal }));
    const record = matches(Golden, manifest) ? manifest.golden.records[0] : undefined;
    if (record !== undefined) return { endpoint: name, record };
  }
  return undefined;
}

/** Waits until the endpoint answers with what is wanted of it; gives the reason where that takes too long. */
export async function untilServed(
  endpoint: string,
  services: CallableServices,
  signal: AbortSignal,
): Promise<string | undefined> {
  await using inference = createScoringClient({ url: services.inference, bearerToken: services.key?.reveal() });
  const untilMs = performance.now() + SERVED_TIMEOUT_MS;
  for (;;) {
    const { items } = await inference.listEndpoints({ signal });
    const served = items.find(({ name }) => name === endpoint);
    if (served !== undefined && served.revision === served.wantedRevision && served.problem === undefined)
      return undefined;
    if (performance.now() > untilMs) return served?.problem ?? 'it has not been loaded yet';
    await delay(25, undefined, { signal });
  }
}

/**
 * A line for the shell that scores the sample.
 * @param keyFile the file of the key to show; the shell reads it when the line runs, so that the line itself has no key
 */
export function curlLine({ endpoint, record }: Sample, inferenceUrl: string, keyFile?: string): string {
  const body = encodeJson({ records: [record] }).replaceAll("'", "'\\''");
  const key = keyFile === undefined ? '' : ` -H "authorization: Bearer $(cat '${keyFile}')"`;
  return `curl -s ${inferenceUrl}/v1/endpoints/${endpoint}/score${key} -H 'content-type: application/json' -d '${body}'`;
}
