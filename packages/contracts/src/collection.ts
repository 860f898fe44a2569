/**
 * Garbage collection: what nothing needs any more goes for good.
 *
 * What is deleted can be restored for the *retention*; then its rows go. A blob that no row names goes once it is older than
 * the *grace*, in which whoever has put it may still register it.
 */
import Type from 'typebox';
import { EpochMs, Id } from './registry.ts';

const strict = { additionalProperties: false } as const;

/** So many rows and blobs are listed one by one. */
export const MAX_COLLECTED_ITEMS = 1000;

export const CollectRequest = Type.Object(
  {
    delete: Type.Optional(
      Type.Boolean({ description: '`true`: delete. Otherwise the answer is what would go, and nothing is changed.' }),
    ),
  },
  { $id: 'CollectRequest', ...strict },
);
export type CollectRequest = Type.Static<typeof CollectRequest>;

const Amount = (description: string) =>
  Type.Object(
    { count: Type.Integer({ minimum: 0 }), sizeBytes: Type.Integer({ minimum: 0 }) },
    { ...strict, description },
  );

export const COLLECTED_KINDS = ['model', 'version', 'dataset-version', 'run', 'experiment', 'logged-model'] as const;
export type CollectedKind = (typeof COLLECTED_KINDS)[number];

export const CollectedRow = Type.Object(
  {
    kind: Type.Enum([...COLLECTED_KINDS]),
    id: Id,
    name: Type.String({ description: 'For people: `flight-delay`, `flight-delay 3`.' }),
    deletedAt: EpochMs,
  },
  { $id: 'CollectedRow', ...strict },
);
export type CollectedRow = Type.Static<typeof CollectedRow>;

export const Collection = Type.Object(
  {
    deleted: Type.Boolean({ description: 'Whether it is gone; false for what would go.' }),
    startedAt: EpochMs,
    retentionMs: Type.Integer({ description: 'How long what was deleted is kept.' }),
    graceMs: Type.Integer({ description: 'How old a blob that nothing names must be.' }),
    rowCount: Type.Integer({ minimum: 0 }),
    rows: Type.Array(CollectedRow, {
      description: `What was deleted longer ago than the retention; the first ${MAX_COLLECTED_ITEMS}.`,
    }),
    blobs: Amount('What no row names.'),
    blobItems: Type.Array(Type.Object({ key: Type.String(), sizeBytes: Type.Integer(), modifiedAt: EpochMs }, strict), {
      description: `The first ${MAX_COLLECTED_ITEMS} of them.`,
    }),
    kept: Type.Object(
      {
        named: Amount('What rows name, deleted ones that can be restored included.'),
        young: Amount('What no row names, and is younger than the grace or held by a registration under way.'),
      },
      strict,
    ),
  },
  { $id: 'Collection', ...strict },
);
export type Collection = Type.Static<typeof Collection>;
