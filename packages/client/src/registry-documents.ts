/** What the registry keeps under a name for others to work by: pipelines and training specs. */
import {
  KeptPipeline,
  KeptTrainingSpec,
  Page,
  type PageQuery,
  type PutPipeline,
  type PutTrainingSpec,
} from '@assay/contracts';
import { type CallOptions, segment, type Transport } from './transport.ts';

const PipelinePage = Page(KeptPipeline, 'PipelinePage');
const TrainingSpecPage = Page(KeptTrainingSpec, 'TrainingSpecPage');

export function documentMethods(transport: Transport) {
  return {
    /** By name, ascending. */
    listPipelines(query: PageQuery = {}, o?: CallOptions): Promise<Page<KeptPipeline>> {
      return transport.json(PipelinePage, { method: 'GET', path: '/v1/pipelines', query, idempotent: true }, o);
    },
    getPipeline(name: string, o?: CallOptions): Promise<KeptPipeline> {
      return transport.json(
        KeptPipeline,
        { method: 'GET', path: `/v1/pipelines/${segment(name)}`, idempotent: true },
        o,
      );
    },
    /** All of it. Compare-and-set: STALE_REVISION where another changed it since it was read. */
    putPipeline(name: string, body: PutPipeline, o?: CallOptions): Promise<KeptPipeline> {
      const path = `/v1/pipelines/${segment(name)}`;
      return transport.json(KeptPipeline, { method: 'PUT', path, json: body, idempotent: false }, o);
    },
    deletePipeline(name: string, expectedRevision: number, o?: CallOptions): Promise<void> {
      const path = `/v1/pipelines/${segment(name)}`;
      return transport.done({ method: 'DELETE', path, query: { expectedRevision }, idempotent: false }, o);
    },
    /** By name, ascending. */
    listTrainingSpecs(query: PageQuery = {}, o?: CallOptions): Promise<Page<KeptTrainingSpec>> {
      return transport.json(
        TrainingSpecPage,
        { method: 'GET', path: '/v1/training-specs', query, idempotent: true },
        o,
      );
    },
    getTrainingSpec(name: string, o?: CallOptions): Promise<KeptTrainingSpec> {
      return transport.json(
        KeptTrainingSpec,
        { method: 'GET', path: `/v1/training-specs/${segment(name)}`, idempotent: true },
        o,
      );
    },
    /** All of it. Compare-and-set: STALE_REVISION where another changed it since it was read. */
    putTrainingSpec(name: string, body: PutTrainingSpec, o?: CallOptions): Promise<KeptTrainingSpec> {
      const path = `/v1/training-specs/${segment(name)}`;
      return transport.json(KeptTrainingSpec, { method: 'PUT', path, json: body, idempotent: false }, o);
    },
    deleteTrainingSpec(name: string, expectedRevision: number, o?: CallOptions): Promise<void> {
      const path = `/v1/training-specs/${segment(name)}`;
      return transport.done({ method: 'DELETE', path, query: { expectedRevision }, idempotent: false }, o);
    },
  };
}
