/** Gates and approvals: the part of the registry's client that knows their paths and bodies. */
import { Approval, type Approve, GateReport, ModelGates, Page, type PageQuery, type SetGates } from '@assay/contracts';
import { type CallOptions, segment, type Transport } from './transport.ts';

const ApprovalPage = Page(Approval, 'ApprovalPage');

export function gateMethods(transport: Transport) {
  const of = (model: string): string => `/v1/models/${segment(model)}/gates`;
  const ofVersion = (model: string, version: number | string, what: string): string =>
    `/v1/models/${segment(model)}/versions/${segment(String(version))}/${what}`;
  return {
    /** Revision 0 and no gates for a model that never had any. */
    getGates(model: string, o?: CallOptions): Promise<ModelGates> {
      return transport.json(ModelGates, { method: 'GET', path: of(model), idempotent: true }, o);
    },
    /** All of them at once. Compare-and-set: STALE_REVISION where another changed them since they were read. */
    setGates(model: string, body: SetGates, o?: CallOptions): Promise<ModelGates> {
      return transport.json(ModelGates, { method: 'PUT', path: of(model), json: body, idempotent: false }, o);
    },
    /** How a version stands before the gates of an alias, `champion` where none is named. Nothing moves. */
    checkGates(
      model: string,
      version: number | string,
      query: { readonly alias?: string } = {},
      o?: CallOptions,
    ): Promise<GateReport> {
      const path = ofVersion(model, version, 'gates');
      return transport.json(GateReport, { method: 'GET', path, query, idempotent: true }, o);
    },
    /** By principal, ascending. */
    listApprovals(
      model: string,
      version: number | string,
      query: PageQuery = {},
      o?: CallOptions,
    ): Promise<Page<Approval>> {
      const path = ofVersion(model, version, 'approvals');
      return transport.json(ApprovalPage, { method: 'GET', path, query, idempotent: true }, o);
    },
    /** In the name of the principal of the key; again, it is the approval that was given before. */
    approveVersion(model: string, version: number | string, body: Approve = {}, o?: CallOptions): Promise<Approval> {
      const path = ofVersion(model, version, 'approvals');
      return transport.json(Approval, { method: 'POST', path, json: body, idempotent: true }, o);
    },
    /** That of the principal of the key. */
    withdrawApproval(model: string, version: number | string, o?: CallOptions): Promise<void> {
      const path = ofVersion(model, version, 'approvals');
      return transport.done({ method: 'DELETE', path, idempotent: false }, o);
    },
  };
}
