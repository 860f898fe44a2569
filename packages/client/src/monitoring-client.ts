/** The monitoring service: the prediction log. */
import { LoggedPrediction, LoggedPredictions, Replay } from '@assay/contracts';
import { type CallOptions, type ClientOptions, createTransport, segment } from './transport.ts';

/** A replay may have to download and load a large model first. */
const REPLAY_TIMEOUT_MS = 10 * 60_000;

export type MonitoringClient = ReturnType<typeof createMonitoringClient>;

export interface PredictionsQuery {
  /** Name or id. */
  readonly endpoint?: string | undefined;
  /** Not before and not after: milliseconds since 1970, or RFC 3339. */
  readonly from?: string | number | undefined;
  readonly to?: string | number | undefined;
  readonly limit?: number | undefined;
}

/** A client of the monitoring service at `url`. Integers of records and outputs beyond 2^53 come as bigint. */
export function createMonitoringClient(options: ClientOptions) {
  const transport = createTransport('monitoring service', options);
  const ofPrediction = (id: string): string => `/v1/predictions/${segment(id)}`;
  const exact = { idempotent: true, exactIntegers: true } as const;

  return {
    url: transport.url,

    /** NOT_FOUND for a prediction that is not in the log, or not yet: it takes a moment from the answer to the log. */
    getPrediction(id: string, o?: CallOptions): Promise<LoggedPrediction> {
      return transport.json(LoggedPrediction, { method: 'GET', path: ofPrediction(id), ...exact }, o);
    },
    /** Newest first. */
    listPredictions(query: PredictionsQuery = {}, o?: CallOptions): Promise<LoggedPredictions> {
      return transport.json(
        LoggedPredictions,
        { method: 'GET', path: '/v1/predictions', query: { ...query }, ...exact },
        o,
      );
    },
    /** Scores it again with the version that made it, and compares the bits. */
    replay(id: string, o?: CallOptions): Promise<Replay> {
      const path = `${ofPrediction(id)}/replay`;
      return transport.json(Replay, { method: 'POST', path, ...exact, timeoutMs: REPLAY_TIMEOUT_MS }, o);
    },

    close: (): Promise<void> => transport.close(),
    [Symbol.asyncDispose]: (): Promise<void> => transport.close(),
  };
}
