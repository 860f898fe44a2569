import { AuditEntry, AuditVerification, Page } from '@assay/contracts';
import type { App } from '@assay/http';
import { listAudit, verifyAudit } from '../store/audit.ts';
import { callerGone } from './caller.ts';
import { errorResponses } from './error-responses.ts';
import { DEFAULT_LIMIT } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { AuditQuery } from './schemas.ts';

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
    async (_request, reply) => verifyAudit(parts().store.database.db, callerGone(reply)),
  );
}
