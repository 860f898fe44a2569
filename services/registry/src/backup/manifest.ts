/**
 * What a backup is: a folder, the same whichever database and store it came from, so that it can go back into another.
 *
 *   manifest.json        what is there, with digests; `audit` says where the chain ended
 *   tables/NAME.ndjson   the rows of a table, a JSON object a line
 *   blobs.ndjson         key, sha256 and size of each blob that the rows name
 *   blobs/               the blobs, as the file driver of packages/blobs keeps them
 *
 * It is written beside its place and renamed when it is whole: a folder of that name is a whole backup.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AssayError, parse } from '@assay/contracts';
import Type, { type Static } from 'typebox';

export const FORMAT_VERSION = 1;

const strict = { additionalProperties: false } as const;
const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });
const Count = Type.Integer({ minimum: 0 });
const TableName = Type.String({ pattern: '^[a-z_][a-z0-9_]{0,62}$' });

export const BackupManifest = Type.Object(
  {
    formatVersion: Type.Literal(FORMAT_VERSION),
    createdAt: Type.String({ format: 'date-time' }),
    assayVersion: Type.String(),
    migrations: Type.Array(Type.String(), { description: 'Of the schema that the rows have, oldest first.' }),
    tables: Type.Array(Type.Object({ name: TableName, rows: Count, sha256: Sha256 }, strict)),
    blobs: Type.Object(
      {
        count: Count,
        sizeBytes: Count,
        sha256: Type.String({
          pattern: '^[0-9a-f]{64}$',
          description: 'Of blobs.ndjson, which has the digest of each.',
        }),
      },
      strict,
    ),
    audit: Type.Object({ entries: Count, headHash: Sha256 }, strict),
  },
  strict,
);
export type BackupManifest = Static<typeof BackupManifest>;

export const BlobLine = Type.Object(
  { key: Type.String({ minLength: 1, maxLength: 900 }), sha256: Sha256, sizeBytes: Count },
  strict,
);
export type BlobLine = Static<typeof BlobLine>;

export const pathsIn = (dir: string) => ({
  manifest: join(dir, 'manifest.json'),
  table: (name: string) => join(dir, 'tables', `${name}.ndjson`),
  blobList: join(dir, 'blobs.ndjson'),
  blobsUrl: `file:${join(dir, 'blobs')}`,
});

/** @throws AssayError NOT_FOUND where there is no whole backup; INVALID_ARGUMENT for another format */
export async function readManifest(dir: string): Promise<BackupManifest> {
  const path = pathsIn(dir).manifest;
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    const message = `${dir} holds no whole backup: its manifest.json cannot be read`;
    throw new AssayError('NOT_FOUND', message, { cause });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AssayError('INVALID_ARGUMENT', `${path} is no JSON; the backup is damaged`, { cause });
  }
  return parse(BackupManifest, value, 'manifest');
}
