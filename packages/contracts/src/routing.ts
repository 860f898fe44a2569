/** The routing snapshot. */
import Type from 'typebox';
import { EndpointCache, EndpointLimits, Id, Name, PackageFile, Revision, Sha256 } from './registry.ts';
import { Signature } from './signature.ts';
import { Pipeline } from './streaming.ts';

/**
 * All that inference needs to route and to load: one document, one revision. A registry that is newer than its reader may
 * say more: what is not known here is passed over.
 */
export const RoutingSnapshot = Type.Object(
  {
    revision: Revision,
    endpoints: Type.Array(
      Type.Object({
        id: Id,
        name: Name,
        revision: Revision,
        contract: Signature,
        salt: Type.String(),
        defaultTimeoutMs: Type.Integer(),
        limits: Type.Optional(EndpointLimits),
        cache: Type.Optional(EndpointCache),
        shadows: Type.Optional(Type.Array(Type.Object({ versionId: Id, ratio: Type.Number() }))),
        variants: Type.Array(Type.Object({ versionId: Id, weight: Type.Integer() })),
      }),
    ),
    versions: Type.Array(
      Type.Object({
        id: Id,
        modelId: Id,
        modelName: Name,
        version: Type.Integer(),
        digest: Sha256,
        files: Type.Array(PackageFile),
      }),
      { description: 'Every version that an endpoint names.' },
    ),
    pipelines: Type.Optional(Type.Array(Pipeline, { description: 'Those that the registry keeps. Absent: none.' })),
  },
  { $id: 'RoutingSnapshot' },
);
export type RoutingSnapshot = Type.Static<typeof RoutingSnapshot>;
export type RoutedEndpoint = RoutingSnapshot['endpoints'][number];
export type RoutedVersion = RoutingSnapshot['versions'][number];
