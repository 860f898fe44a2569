/** The scoring door, as an application uses it. */
import { OutcomesReported, type ReportOutcomes, ScoreResponse } from '@assay/contracts';
import Type from 'typebox';
import { type CallOptions, type ClientOptions, createTransport, segment } from './transport.ts';

const JsonObject = Type.Record(Type.String(), Type.Unknown());

/** How an endpoint stands at the replica that was asked; it says more, which is for people. */
export const ServedEndpoint = Type.Object({
  name: Type.String(),
  revision: Type.Union([Type.Integer(), Type.Null()], { description: 'The revision that answers now.' }),
  wantedRevision: Type.Integer({ description: 'The newest one; the same once every version is loaded.' }),
  problem: Type.Optional(Type.String({ description: 'Why the newest revision does not answer, or not wholly.' })),
});
export type ServedEndpoint = Type.Static<typeof ServedEndpoint>;
const ServedEndpoints = Type.Object({ items: Type.Array(ServedEndpoint) });

export interface ScoreOptions extends CallOptions {
  /** What the endpoint's traffic split is decided by: the same key goes to the same variant. */
  readonly routingKey?: string;
}

export type ScoringClient = ReturnType<typeof createScoringClient>;

/**
 * A client of the inference service at `url`. int64 features may be given as bigint, and int64 outputs beyond 2^53 come
 * as bigint. The time left is passed on, so that the server drops what can no longer be used.
 */
export function createScoringClient(options: ClientOptions) {
  const transport = createTransport('inference service', options);
  const ofEndpoint = (name: string): string => `/v1/endpoints/${segment(name)}`;

  return {
    url: transport.url,

    /** All records are scored, in their order, or none: the error then names each bad record. */
    score(
      endpoint: string,
      records: readonly Readonly<Record<string, unknown>>[],
      { routingKey, ...o }: ScoreOptions = {},
    ): Promise<ScoreResponse> {
      return transport.json(
        ScoreResponse,
        {
          method: 'POST',
          path: `${ofEndpoint(endpoint)}/score`,
          json: { records },
          ...(routingKey === undefined ? {} : { headers: { 'assay-routing-key': routingKey } }),
          idempotent: true, // scoring changes nothing
          exactIntegers: true,
        },
        o,
      );
    },
    /**
     * Tells what predictions turned out to be; resolves when that is durable. Sending the same again changes nothing.
     * @param outcomes at most 1000
     */
    reportOutcomes(endpoint: string, outcomes: ReportOutcomes['outcomes'], o?: CallOptions): Promise<OutcomesReported> {
      const json = { endpoint, outcomes } satisfies ReportOutcomes;
      return transport.json(OutcomesReported, { method: 'POST', path: '/v1/outcomes', json, idempotent: true }, o);
    },
    /** The endpoints that this replica serves. */
    listEndpoints(o?: CallOptions): Promise<{ items: ServedEndpoint[] }> {
      return transport.json(ServedEndpoints, { method: 'GET', path: '/v1/endpoints', idempotent: true }, o);
    },
    getEndpoint(name: string, o?: CallOptions): Promise<ServedEndpoint> {
      return transport.json(ServedEndpoint, { method: 'GET', path: ofEndpoint(name), idempotent: true }, o);
    },
    /** The JSON Schema of one record and of a request. */
    signature(name: string, o?: CallOptions): Promise<Record<string, unknown>> {
      return transport.json(JsonObject, { method: 'GET', path: `${ofEndpoint(name)}/signature`, idempotent: true }, o);
    },
    /** Whether the service says that it is ready. */
    async ready(o?: CallOptions): Promise<boolean> {
      const call = { method: 'GET', path: '/readyz', idempotent: true, alsoAccept: [503] } as const;
      return transport.send(call, o, async ({ status }) => status === 200);
    },

    close: (): Promise<void> => transport.close(),
    [Symbol.asyncDispose]: (): Promise<void> => transport.close(),
  };
}
