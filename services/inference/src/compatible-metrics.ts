/**
 * Triton's and KServe's metrics, so that dashboards made for them work as they are. They are told at each scrape from what is
 * measured anyway: a request costs nothing more. What they call a model is an endpoint here.
 */
import type { ErrorCode } from '@assay/contracts';
import { DURATION_BUCKETS, type MetricRow, type Registry } from '@assay/runtime';
import type { ScoreStatistics } from './domain/score-statistics.ts';
import { inferenceMetrics } from './metrics.ts';

export type MetricsCompatibility = 'none' | 'triton' | 'kserve' | 'all';

/** What one version scored for one endpoint. */
export interface ScoredByVersion {
  readonly endpoint: string;
  readonly version: number;
  readonly statistics: ScoreStatistics;
}

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const US_PER_MS = 1000;
const ranMs = (s: ScoreStatistics): number => s.totalMs - s.cachedMs;

/** Counters by model and version; the words are Triton's. */
const COUNTERS: readonly { name: string; help: string; measure: (s: ScoreStatistics) => number }[] = [
  {
    name: 'nv_inference_request_success',
    help: 'Number of successful inference requests, all batch sizes',
    measure: (s) => s.requests,
  },
  {
    name: 'nv_inference_count',
    help: 'Number of inferences performed (does not include cached requests)',
    measure: (s) => s.rows - s.cachedRows,
  },
  {
    name: 'nv_inference_exec_count',
    help: 'Number of model executions performed (does not include cached requests)',
    measure: (s) => s.runs,
  },
  {
    name: 'nv_inference_request_duration_us',
    help: 'Cumulative inference request duration in microseconds (includes cached requests)',
    measure: (s) => s.totalMs * US_PER_MS,
  },
  {
    name: 'nv_inference_queue_duration_us',
    help: 'Cumulative inference queuing duration in microseconds (includes cached requests)',
    measure: (s) => s.queueMs * US_PER_MS,
  },
  {
    name: 'nv_inference_compute_input_duration_us',
    help: 'Cumulative compute input duration in microseconds (does not include cached requests)',
    // Reading and writing are not measured apart: all of it is here.
    measure: (s) => Math.max(0, ranMs(s) - s.queueMs - s.inferenceMs) * US_PER_MS,
  },
  {
    name: 'nv_inference_compute_infer_duration_us',
    help: 'Cumulative compute inference duration in microseconds (does not include cached requests)',
    measure: (s) => s.inferenceMs * US_PER_MS,
  },
  {
    name: 'nv_inference_compute_output_duration_us',
    help: 'Cumulative compute output duration in microseconds: 0 here, it is part of the input duration',
    measure: () => 0,
  },
  {
    name: 'nv_cache_num_hits_per_model',
    help: 'Number of cache hits per model',
    measure: (s) => s.cachedRequests,
  },
  {
    name: 'nv_cache_num_misses_per_model',
    help: 'Number of cache misses per model',
    measure: (s) => s.cacheMisses,
  },
  {
    name: 'nv_cache_hit_duration_per_model',
    help: 'Total cache hit duration per model, in microseconds',
    measure: (s) => s.cachedMs * US_PER_MS,
  },
];

const PENDING = {
  name: 'nv_inference_pending_request_count',
  help: 'Instantaneous number of pending requests awaiting execution',
};

const FAILURE = { name: 'nv_inference_request_failure', help: 'Number of failed inference requests, all batch sizes' };
const REASONS = ['REJECTED', 'CANCELED', 'BACKEND', 'OTHER'] as const;
type Reason = (typeof REASONS)[number];
const REASON_OF: { readonly [Code in ErrorCode]?: Reason } = {
  OVERLOADED: 'REJECTED',
  RATE_LIMITED: 'REJECTED',
  DEADLINE_EXCEEDED: 'REJECTED',
  CANCELLED: 'CANCELED',
  INTERNAL: 'BACKEND',
  UNAVAILABLE: 'BACKEND',
  UNPROCESSABLE_MODEL: 'BACKEND',
};

const PREDICT = { name: 'request_predict_seconds', help: 'predict request latency' };

/** Their rows in the generated table. */
export const COMPATIBLE_METRICS: readonly MetricRow[] = [
  ...COUNTERS.map(({ name, help }) => rowOf(name, help, ['model', 'version'])),
  rowOf(FAILURE.name, FAILURE.help, ['model', 'version', 'reason']),
  { ...rowOf(PENDING.name, PENDING.help, ['model', 'version']), type: 'gauge' },
  {
    section: 'inference',
    name: PREDICT.name,
    type: 'histogram',
    unit: 'seconds',
    buckets: DURATION_BUCKETS,
    labels: ['model_name'],
    help: `${PREDICT.help}. With metricsCompatibility kserve or all: assay_inference_request_seconds of all doors and versions.`,
  },
];

function rowOf(name: string, help: string, labels: readonly string[]): MetricRow {
  const text = `${help}. With metricsCompatibility triton or all.`;
  return { section: 'inference', name, type: 'counter', labels, help: text };
}

/** @param scored what is told of, looked up at each scrape */
export function addCompatibleMetrics(
  registry: Registry,
  compatibility: MetricsCompatibility,
  scored: () => Iterable<ScoredByVersion>,
): void {
  if (compatibility === 'triton' || compatibility === 'all') {
    for (const { name, help, measure } of COUNTERS) {
      add(registry, 'counter', name, help, async () => summed(scored(), (s) => [[{}, measure(s)]]));
    }
    add(registry, 'counter', FAILURE.name, FAILURE.help, async () => summed(scored(), failuresByReason));
    add(registry, 'gauge', PENDING.name, PENDING.help, async () =>
      summed(scored(), ({ pendingRequests }) => [[{}, pendingRequests]]),
    );
  }
  if (compatibility === 'kserve' || compatibility === 'all') {
    add(registry, 'histogram', PREDICT.name, PREDICT.help, () => predictSamples(registry));
  }
}

type Labelled = readonly [Readonly<Record<string, string>>, number];

/** One sample for each model and version, whichever of their versions' ids it was. */
function summed(scored: Iterable<ScoredByVersion>, valuesOf: (s: ScoreStatistics) => readonly Labelled[]): Sample[] {
  return total(
    Array.from(scored, ({ endpoint, version, statistics }) =>
      valuesOf(statistics).map(([more, value]) => ({
        labels: { model: endpoint, version: String(version), ...more },
        value,
      })),
    ).flat(),
  );
}

function failuresByReason({ failuresByCode }: ScoreStatistics): Labelled[] {
  const counts: Record<Reason, number> = { REJECTED: 0, CANCELED: 0, BACKEND: 0, OTHER: 0 };
  for (const [code, count] of failuresByCode) counts[REASON_OF[code] ?? 'OTHER'] += count;
  return REASONS.map((reason) => [{ reason }, counts[reason]]);
}

async function predictSamples(registry: Registry): Promise<Sample[]> {
  const own = await registry.getSingleMetric(inferenceMetrics.metrics.total.name)?.get();
  const samples = (own?.values ?? []) as readonly Sample[]; // of a histogram: each has its metricName and labels
  return total(
    samples.map(({ metricName = '', labels: { endpoint = '', le }, value }) => ({
      metricName: metricName.replace(inferenceMetrics.metrics.total.name, PREDICT.name),
      labels: { model_name: endpoint, ...(le === undefined ? {} : { le }) },
      value,
    })),
  );
}

/** Samples of the same name and labels as one, in the order of their first. */
function total(samples: readonly Sample[]): Sample[] {
  const byKey = new Map<string, Sample>();
  for (const sample of samples) {
    const key = JSON.stringify([sample.metricName, sample.labels]);
    const before = byKey.get(key);
    byKey.set(key, before === undefined ? sample : { ...before, value: before.value + sample.value });
  }
  return [...byKey.values()];
}

function add(
  registry: Registry,
  type: MetricRow['type'],
  name: string,
  help: string,
  samples: () => Promise<Sample[]>,
): void {
  const metric = {
    name,
    help,
    type,
    get: async () => ({ name, help, type, values: await samples(), aggregator: 'sum' }),
    reset() {},
  };
  // prom-client's registry calls get() and reads name, help and type: what `metric` has
  registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
}
