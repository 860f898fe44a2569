/** `mlflow-artifacts/…`: files of runs and models, streamed through. */
import { Readable } from 'node:stream';
import { AssayError } from '@assay/contracts';
import { type App, acceptStreams } from '@assay/http';
import Type from 'typebox';
import { actorOf, callerGone } from '../http/caller.ts';
import type { PartsOf } from '../http/parts.ts';
import { checked, counted } from '../http/stored-file.ts';
import { checkArtifactPath, nameOf } from './artifact-path.ts';
import { deleteArtifact, listFolder, putArtifact, requireFile } from './store/artifacts.ts';

export const ARTIFACTS_PREFIX = '/api/2.0/mlflow-artifacts';
const FILE = `${ARTIFACTS_PREFIX}/artifacts/*`;
/** Checkpoints are larger than any graph. Azure, S3 and file systems hold more. */
const MAX_ARTIFACT_BYTES = 100 * 1024 ** 3;
const PathParam = Type.Object({ '*': Type.String() }, { additionalProperties: false });
const hidden = { hide: true } as const;

/** In a scope of its own, since here every content type is a stream of bytes. */
export function artifactRoutes(app: App, parts: PartsOf): void {
  app.removeAllContentTypeParsers();
  acceptStreams(app, ['*']);

  app.put(
    FILE,
    { config: { access: 'register', readsContentEncoding: false }, schema: { ...hidden, params: PathParam } },
    async (request, reply) => {
      actorOf(request);
      const path = checkArtifactPath(request.params['*']);
      const { metrics } = parts();
      const received = metrics.blobBytes.bind({ direction: 'in' });
      await putArtifact(parts(), path, counted(streamOf(request.body), received), {
        maxSizeBytes: MAX_ARTIFACT_BYTES,
        signal: callerGone(reply),
      });
      return reply.send({});
    },
  );

  app.get(FILE, { config: { access: 'read' }, schema: { ...hidden, params: PathParam } }, async (request, reply) => {
    const path = checkArtifactPath(request.params['*']);
    const file = await requireFile(parts().store.database.db, path);
    const blob = await parts().blobs.get(file.blobKey, { signal: callerGone(reply) });
    if (blob.sizeBytes !== file.sizeBytes) {
      throw new AssayError('INTERNAL', `the stored content of ${path} has another size; restore it from a backup`);
    }
    reply
      .header('content-type', 'application/octet-stream')
      .header('content-disposition', `attachment; filename*=UTF-8''${encodeURIComponent(nameOf(path))}`)
      .header('x-content-type-options', 'nosniff')
      .header('content-length', String(file.sizeBytes))
      .header('etag', `"${file.sha256}"`);
    const sent = counted(blob.body, parts().metrics.blobBytes.bind({ direction: 'out' }));
    return reply.send(Readable.from(checked(sent, { ...file, name: path }), { objectMode: false }));
  });

  app.delete(FILE, { config: { access: 'register' }, schema: { ...hidden, params: PathParam } }, async (request) => {
    actorOf(request);
    await deleteArtifact(parts(), checkArtifactPath(request.params['*']));
    return {};
  });

  app.get(
    `${ARTIFACTS_PREFIX}/artifacts`,
    {
      config: { access: 'read' },
      schema: {
        ...hidden,
        querystring: Type.Object({ path: Type.Optional(Type.String()) }, { additionalProperties: true }),
      },
    },
    async (request) => {
      const path = (request.query.path ?? '').replace(/\/+$/, '');
      const entries = await listFolder(parts().store.database.db, path === '' ? '' : checkArtifactPath(path));
      return {
        files: entries.map(({ name, isFolder, sizeBytes }) => ({
          path: name,
          is_dir: isFolder,
          ...(isFolder ? {} : { file_size: sizeBytes }),
        })),
      };
    },
  );
}

/** A PUT without a body is the empty file. */
async function* streamOf(body: unknown): AsyncGenerator<Uint8Array> {
  // The parser above passes on Node's request stream, which has no encoding set.
  if (body !== undefined && body !== null) yield* body as AsyncIterable<Uint8Array>;
}
