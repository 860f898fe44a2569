/**
 * Metrics of several threads in one scrape. A thread counts in a registry of its own and says what it has counted, as plain
 * data; who is scraped adds it to its own.
 */
import type { Registry } from 'prom-client';

/** How the values of several threads are one. */
export type Combining = 'sum' | 'max';

export interface SnapshotSample {
  /** Of a histogram: its name with `_bucket`, `_sum` or `_count`. */
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** What one metric was at some time: plain data. */
export interface MetricSnapshot {
  readonly name: string;
  readonly type: string;
  readonly values: readonly SnapshotSample[];
}

export async function snapshotMetrics(registry: Registry): Promise<MetricSnapshot[]> {
  const metrics = await Promise.all(registry.getMetricsAsArray().map((metric) => readMetric(metric)));
  return metrics.map(({ name, type, values }) => ({ name, type, values }));
}

/** What stays when a thread has ended: what it counted, and not how things stood in it. */
export function countedOf(snapshot: readonly MetricSnapshot[]): MetricSnapshot[] {
  return snapshot.filter(({ type }) => type === 'counter' || type === 'histogram');
}

/** Every series of any of them, once. */
export function combineSnapshots(
  snapshots: readonly (readonly MetricSnapshot[])[],
  combining: (name: string) => Combining = () => 'sum',
): MetricSnapshot[] {
  const byName = Map.groupBy(snapshots.flat(), ({ name }) => name);
  return Array.from(byName, ([name, [first, ...others]]) => {
    const type = first?.type ?? 'untyped';
    const values = [first, ...others].flatMap((each) => each?.values ?? []);
    return { name, type, values: combineSamples(values, combining(name)) };
  });
}

function combineSamples(samples: readonly SnapshotSample[], how: Combining): SnapshotSample[] {
  const series = new Map<string, SnapshotSample>();
  for (const sample of samples) {
    const key = `${sample.metricName ?? ''}\0${Object.entries(sample.labels).flat().join('\0')}`;
    const before = series.get(key);
    const value =
      before === undefined
        ? sample.value
        : how === 'sum'
          ? before.value + sample.value
          : Math.max(before.value, sample.value);
    series.set(key, { ...sample, value });
  }
  return [...series.values()];
}

/** prom-client's metric, as far as it is read here. */
interface Scraped {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  get(): Promise<ScrapedValues>;
}
interface ScrapedValues {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly SnapshotSample[];
}

function readMetric(metric: unknown): Promise<ScrapedValues> {
  return (metric as Scraped).get(); // every metric of a registry has it; prom-client's types differ by kind
}

/**
 * From now on a scrape of `registry` has what `others` gives too, for the metrics named; all of them are registered before.
 * It is asked once a scrape, and must not reject.
 */
export function addToScrapes(
  registry: Registry,
  names: ReadonlySet<string>,
  others: () => Promise<readonly MetricSnapshot[]>,
  combining: (name: string) => Combining = () => 'sum',
): void {
  let asked: Promise<Map<string, MetricSnapshot>> | undefined;
  const ask = (): Promise<Map<string, MetricSnapshot>> => {
    // All metrics of a scrape are read in one turn: they share an answer.
    asked ??= others().then((snapshots) => {
      asked = undefined;
      return new Map(snapshots.map((snapshot) => [snapshot.name, snapshot]));
    });
    return asked;
  };
  for (const metric of registry.getMetricsAsArray() as unknown as readonly Scraped[]) {
    if (!names.has(metric.name)) continue;
    const both: Scraped & { reset(): void } = {
      name: metric.name,
      help: metric.help,
      type: metric.type,
      async get() {
        const [own, theirs] = await Promise.all([metric.get(), ask()]);
        const snapshots = [own, ...(theirs.has(own.name) ? [theirs.get(own.name) ?? own] : [])];
        const [combined] = combineSnapshots([snapshots], combining);
        return { ...own, values: combined?.values ?? [] };
      },
      reset() {},
    };
    registry.removeSingleMetric(metric.name);
    registry.registerMetric(both as unknown as Parameters<Registry['registerMetric']>[0]); // what a registry reads of one
  }
}
