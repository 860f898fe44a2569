import { Readable } from 'node:stream';
import { type AuditCheckpoint, AuditCheckpoints, AuditEntry, AuditVerification, Page } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import { checkpointsAfter } from '../checkpoints/checkpoint-blobs.ts';
import { verifyWithCheckpoints } from '../checkpoints/verify.ts';
import { exportAudit, listAudit } from '../store/audit.ts';
import { callerGone } from './caller.ts';
import { DEFAULT_LIMIT } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { AuditQuery, CheckpointsQuery } from './schemas.ts';

const tags = ['audit'];

export function auditRoutes(app: App, parts: PartsOf): void {
  app.get(
    '/v1/audit',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listAudit',
        summary: 'List audit entries by sequence',
        description:
          'Every governance write is one entry, written in the transaction of the write, linked to the one before.',
        querystring: AuditQuery,
        response: { 200: Page(AuditEntry, 'AuditPage'), ...errorResponses('INVALID_ARGUMENT') },
      },
    },
    async (request) => {
      const { after = 0, limit = DEFAULT_LIMIT, ...filter } = request.query;
      return listAudit(parts().store.database.db, { after, limit, ...filter });
    },
  );

  app.get(
    '/v1/audit/verify',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'verifyAudit',
        summary: 'Walk the whole chain',
        description:
          'Recomputes every hash and link up to the head. `firstBadSequence` names the first entry that was changed, removed, moved or added, and `reason` says which.',
        response: { 200: AuditVerification },
      },
    },
    async (_request, reply) => verifyWithCheckpoints(parts(), callerGone(reply)),
  );

  app.get(
    '/v1/audit/checkpoints',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listAuditCheckpoints',
        summary: 'List the signed checkpoints of the chain',
        description:
          'What the head was, signed with a key that is not in the database, and the public keys. They are in the blob store and in the log, too.',
        querystring: CheckpointsQuery,
        response: { 200: AuditCheckpoints, ...errorResponses('INVALID_ARGUMENT', 'FAILED_PRECONDITION') },
      },
    },
    async (request, reply): Promise<AuditCheckpoints> => {
      const { after = 0, limit = DEFAULT_LIMIT } = request.query;
      const { blobs, checkpointKeys } = parts();
      const keys = [...(checkpointKeys ?? [])].map(([keyId, key]) => ({
        keyId,
        publicKey: key.export({ type: 'spki', format: 'pem' }).toString(),
      }));
      const items: AuditCheckpoint[] = [];
      for await (const checkpoint of checkpointsAfter(blobs, after, callerGone(reply))) {
        const last = items.at(-1)?.sequence;
        // Those of one sequence stay on one page: the cursor is the sequence.
        if (last !== undefined && items.length >= limit && checkpoint.sequence !== last) {
          return { items, next: String(last), keys };
        }
        items.push(checkpoint);
      }
      return { items, keys };
    },
  );

  app.get(
    '/v1/audit/export',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'exportAudit',
        summary: 'Stream the whole chain as NDJSON',
        description:
          'The first line is the head (`{"format":"assay.audit-export.v1","head":{"sequence":…,"hash":…}}`), then one `AuditEntry` a line by sequence. `assay audit verify --file` walks it without the registry. An answer that is cut ends without its last chunk.',
        produces: ['application/x-ndjson'],
        response: {
          200: Type.Unsafe<Readable>(Type.String({ description: 'The chain, a JSON value a line.' })),
          ...errorResponses('FAILED_PRECONDITION'),
        },
      },
    },
    async (_request, reply) => {
      const lines = await exportAudit(parts().store.database.db, callerGone(reply));
      return reply.type('application/x-ndjson').send(Readable.from(lines, { objectMode: false }));
    },
  );
}
