import { Approval, Approve, GateReport, ModelGates, Page, PageQuery, SetGates } from '@assay/contracts';
import { type App, errorResponses } from '@assay/http';
import Type from 'typebox';
import { CHAMPION, checkAliasName } from '../domain/names.ts';
import { approve, listApprovals, withdrawApproval } from '../store/approvals.ts';
import { readGateReport } from '../store/gate-passages.ts';
import { getGates, setGates } from '../store/gates.ts';
import { actorOf } from './caller.ts';
import { DEFAULT_LIMIT } from './paging.ts';
import type { PartsOf } from './parts.ts';
import { GateReportQuery, ModelParams, VersionParams } from './schemas.ts';

const tags = ['gates'];

export function gateRoutes(app: App, parts: PartsOf): void {
  app.get(
    '/v1/models/:model/gates',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'getGates',
        summary: 'Get the gates of a model',
        description: 'A model that never had any has none, at revision 0.',
        params: ModelParams,
        response: { 200: ModelGates, ...errorResponses('NOT_FOUND') },
      },
    },
    async (request) => getGates(parts().store.database.db, request.params.model),
  );

  app.put(
    '/v1/models/:model/gates',
    {
      config: { access: 'admin' },
      schema: {
        tags,
        operationId: 'setGates',
        summary: 'Set the gates of a model',
        description:
          'All of them at once, by compare-and-set. They hold for the next move of each alias and endpoint that they guard; what stands there stays. Without `aliases` every alias is guarded, without `endpoints` every endpoint. `{}` takes the gates away. Example: `{"expectedRevision": 0, "gates": {"aliases": ["champion"], "approvals": 2, "metrics": [{"metric": "auc", "min": 0.7}], "betterThanChampion": [{"metric": "log_loss", "better": "lower"}], "checks": ["golden", "parity"]}}`.',
        params: ModelParams,
        body: SetGates,
        response: {
          200: ModelGates,
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'STALE_REVISION', 'FAILED_PRECONDITION'),
        },
      },
    },
    async (request) => {
      const { store, keys } = parts();
      return setGates(store, actorOf(request), request.params.model, request.body, keys !== undefined);
    },
  );

  app.get(
    '/v1/models/:model/versions/:version/gates',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'checkGates',
        summary: 'See how a version stands before the gates of an alias',
        description: 'Each gate with what is required, what is there, and what to do. Nothing moves.',
        params: VersionParams,
        querystring: GateReportQuery,
        response: { 200: GateReport, ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND') },
      },
    },
    async (request) => {
      const { alias = CHAMPION } = request.query;
      checkAliasName(alias);
      return readGateReport(parts().store.database.db, request.params.model, request.params.version, alias);
    },
  );

  app.get(
    '/v1/models/:model/versions/:version/approvals',
    {
      config: { access: 'read' },
      schema: {
        tags,
        operationId: 'listApprovals',
        summary: 'List the approvals of a version by principal',
        params: VersionParams,
        querystring: PageQuery,
        response: { 200: Page(Approval, 'ApprovalPage'), ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND') },
      },
    },
    async (request) => {
      const { after, limit = DEFAULT_LIMIT } = request.query;
      const { model, version } = request.params;
      const page = { limit, ...(after === undefined ? {} : { after }) };
      return listApprovals(parts().store.database.db, model, version, page);
    },
  );

  app.post(
    '/v1/models/:model/versions/:version/approvals',
    {
      config: { access: 'promote' },
      schema: {
        tags,
        operationId: 'approveVersion',
        summary: 'Approve a version',
        description:
          'In the name of the principal of the key: two keys of one principal are one approval. Who registered the version, or submitted the job that made it, cannot approve it. With status 200 it was approved before. Example: `{"comment": "read the evaluation of 2026-11"}`.',
        params: VersionParams,
        body: Approve,
        response: {
          201: Approval,
          200: Approval,
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND', 'PERMISSION_DENIED'),
        },
      },
    },
    async (request, reply) => {
      const { model, version } = request.params;
      const { comment = '' } = request.body;
      const { approval, created } = await approve(parts().store, actorOf(request), model, version, comment);
      return reply.code(created ? 201 : 200).send(approval);
    },
  );

  app.delete(
    '/v1/models/:model/versions/:version/approvals',
    {
      config: { access: 'promote' },
      schema: {
        tags,
        operationId: 'withdrawApproval',
        summary: 'Withdraw your approval of a version',
        description: 'That of the principal of the key. What moved with it stays where it is.',
        params: VersionParams,
        response: {
          204: Type.Null({ description: 'It is withdrawn.' }),
          ...errorResponses('INVALID_ARGUMENT', 'NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const { model, version } = request.params;
      await withdrawApproval(parts().store, actorOf(request), model, version);
      return reply.code(204).send(null);
    },
  );
}
