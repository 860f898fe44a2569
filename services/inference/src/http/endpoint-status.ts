/** How an endpoint stands, for people and programs that look after it. */
import type { EndpointStatus as DomainStatus } from '../domain/convergence.ts';
import type { EndpointDetails, EndpointStatus } from './schemas.ts';

export function describeEndpoint({ wanted, applied, problem }: DomainStatus): EndpointStatus {
  const shown = applied?.endpoint ?? wanted;
  const shadows = applied?.shadows ?? [];
  return {
    id: shown.id,
    name: shown.name,
    revision: applied?.endpoint.revision ?? null,
    wantedRevision: wanted.revision,
    defaultTimeoutMs: shown.defaultTimeoutMs,
    ...(shown.limits === undefined ? {} : { limits: shown.limits }),
    ...(shown.cache === undefined ? {} : { cache: shown.cache }),
    variants: (applied?.variants ?? []).map(({ version, weight, live }) => ({
      versionId: version.id,
      model: version.modelName,
      version: version.version,
      digest: version.digest,
      weight,
      live: live !== undefined,
      ...(live === undefined ? {} : { scorer: { ...live.loaded.details } }),
    })),
    ...(shadows.length === 0
      ? {}
      : {
          shadows: shadows.map(({ version, ratio, live }) => ({
            versionId: version.id,
            model: version.modelName,
            version: version.version,
            digest: version.digest,
            ratio,
            live: live !== undefined,
          })),
        }),
    ...(problem === undefined ? {} : { problem }),
  };
}

export function describeEndpointFully(status: DomainStatus): EndpointDetails {
  return { ...describeEndpoint(status), contract: (status.applied?.endpoint ?? status.wanted).contract };
}
