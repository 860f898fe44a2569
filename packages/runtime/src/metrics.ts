/**
 * Metrics, declared once. A bound child is a number (or an array of buckets) that the hot path adds to; prom-client sees
 * them only when it is scraped, which costs a request a tenth of what its own histograms do.
 */
import { collectDefaultMetrics, Registry } from 'prom-client';
import { type BoundHistogram, createHistogramChild } from './histogram.ts';

export { Registry } from 'prom-client';
export type { BoundHistogram } from './histogram.ts';

interface Declaration<Label extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly Label[];
  /** How many combinations of label values are kept apart; the rest share one, labelled `other`. */
  readonly maxSeries?: number;
}
export interface CounterDeclaration<Label extends string = string> extends Declaration<Label> {
  readonly type: 'counter';
}
export interface GaugeDeclaration<Label extends string = string> extends Declaration<Label> {
  readonly type: 'gauge';
}
export interface HistogramDeclaration<Label extends string = string> extends Declaration<Label> {
  readonly type: 'histogram';
  /** `seconds`, `bytes`, `rows`: the last word of the name. */
  readonly unit: string;
  /** Upper bounds, ascending; `+Inf` is added. */
  readonly buckets: readonly number[];
}
export type MetricDeclaration = CounterDeclaration | GaugeDeclaration | HistogramDeclaration;

/** For durations: 50 µs to 10 s, in seconds. */
export const DURATION_BUCKETS: readonly number[] = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

export function counter<const Label extends string = never>(options: Declaration<Label>): CounterDeclaration<Label> {
  return { type: 'counter', ...options };
}
export function gauge<const Label extends string = never>(options: Declaration<Label>): GaugeDeclaration<Label> {
  return { type: 'gauge', ...options };
}
export function histogram<const Label extends string = never>(
  options: Declaration<Label> & { unit: string; buckets: readonly number[] },
): HistogramDeclaration<Label> {
  return { type: 'histogram', ...options };
}

export interface MetricsDefinition<
  M extends Readonly<Record<string, MetricDeclaration>> = Readonly<Record<string, MetricDeclaration>>,
> {
  readonly section: string;
  readonly metrics: M;
}

/** Declares the metrics of a section; names that do not follow Prometheus's rules (base units, `_total`) are refused. */
export function defineMetrics<const M extends Readonly<Record<string, MetricDeclaration>>>(
  section: string,
  metrics: M,
): MetricsDefinition<M> {
  for (const declaration of Object.values(metrics)) checkDeclaration(declaration);
  return { section, metrics };
}

function checkDeclaration(declaration: MetricDeclaration): void {
  const { name, type } = declaration;
  const problem = !/^assay_[a-z0-9]+(_[a-z0-9]+)*$/.test(name)
    ? 'must be assay_ and lower case words'
    : (type === 'counter') !== name.endsWith('_total')
      ? 'must end with _total if it is a counter, and only then'
      : type === 'histogram' && !name.endsWith(`_${declaration.unit}`)
        ? `must end with its unit, _${declaration.unit}`
        : undefined;
  if (problem !== undefined) throw new Error(`metric ${name}: ${problem}`);
}

export type LabelValues<Label extends string> = Readonly<Record<Label, string>>;

export interface BoundCounter {
  inc(by?: number): void;
}
export interface BoundGauge {
  set(value: number): void;
  inc(by?: number): void;
  dec(by?: number): void;
}

/** One metric; `bind` finds the child of its label values once, so that the hot path only adds. */
export interface Metric<Label extends string, Child> {
  bind(labels: LabelValues<Label>): Child;
  /** Forgets the child of these values, as when a version is unloaded. */
  remove(labels: LabelValues<Label>): void;
  /** Called before each scrape, for values that are looked up and not counted. */
  onScrape(collect: () => void | Promise<void>): void;
}
export type Counter<Label extends string = never> = Metric<Label, BoundCounter>;
export type Gauge<Label extends string = never> = Metric<Label, BoundGauge>;
export type Histogram<Label extends string = never> = Metric<Label, BoundHistogram>;

type MetricOf<D> =
  D extends CounterDeclaration<infer Label>
    ? Counter<Label>
    : D extends GaugeDeclaration<infer Label>
      ? Gauge<Label>
      : D extends HistogramDeclaration<infer Label>
        ? Histogram<Label>
        : never;

export type MetricsOf<Definition extends MetricsDefinition> = {
  readonly [K in keyof Definition['metrics']]: MetricOf<Definition['metrics'][K]>;
};

/**
 * The metrics of a definition in a registry: the one given (a service has one, shared with its HTTP app), or a new one
 * that also has the metrics of the process.
 */
export function createMetrics<Definition extends MetricsDefinition>(
  definition: Definition,
  options: { registry?: Registry } = {},
): { registry: Registry; metrics: MetricsOf<Definition> } {
  const registry = options.registry ?? createRegistry();
  const metrics: Record<string, unknown> = {};
  for (const [key, declaration] of Object.entries(definition.metrics)) {
    metrics[key] = register(registry, declaration);
  }
  return { registry, metrics: metrics as MetricsOf<Definition> }; // one metric of its declaration's type for each key
}

let processRegistry: Registry | undefined;

/** A registry with the metrics of the process (memory, CPU, event loop), which are collected once for all registries. */
export function createRegistry(): Registry {
  if (processRegistry === undefined) {
    processRegistry = new Registry();
    collectDefaultMetrics({ register: processRegistry });
  }
  const registry = new Registry();
  for (const metric of processRegistry.getMetricsAsArray()) adopt(registry, metric);
  return registry;
}

/** What `Registry` uses of a metric; its own type names its own classes only. */
interface ScrapedMetric {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  get(): Promise<{ name: string; help: string; type: string; values: Sample[]; aggregator: string }>;
  reset(): void;
}
interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

function adopt(registry: Registry, metric: unknown): void {
  // prom-client's registry calls get(), reset() and reads name, help and type: what ScrapedMetric has
  registry.registerMetric(metric as Parameters<Registry['registerMetric']>[0]);
}

interface Series<Child> {
  readonly labels: Readonly<Record<string, string>>;
  readonly child: Child;
  samples(name: string, labels: Readonly<Record<string, string>>): Sample[];
  reset(): void;
}

const DEFAULT_MAX_SERIES = 1000;
const OVERFLOW = 'other';

function register(registry: Registry, declaration: MetricDeclaration): Metric<string, unknown> {
  const labelNames = declaration.labels ?? [];
  const maxSeries = declaration.maxSeries ?? DEFAULT_MAX_SERIES;
  const series = new Map<string, Series<unknown>>();
  const collectors: (() => void | Promise<void>)[] = [];
  const keyOf = (labels: Readonly<Record<string, string>>) => labelNames.map((name) => labels[name]).join('\0');
  const add = (labels: Readonly<Record<string, string>>) => {
    const made = createSeries(declaration, Object.fromEntries(labelNames.map((name) => [name, String(labels[name])])));
    series.set(keyOf(labels), made);
    return made;
  };
  const metric: Metric<string, unknown> = {
    bind(labels) {
      const found = series.get(keyOf(labels));
      if (found !== undefined) return found.child;
      if (series.size < maxSeries) return add(labels).child;
      const overflow = Object.fromEntries(labelNames.map((name) => [name, OVERFLOW]));
      return (series.get(keyOf(overflow)) ?? add(overflow)).child;
    },
    remove: (labels) => void series.delete(keyOf(labels)),
    onScrape: (collect) => void collectors.push(collect),
  };
  if (labelNames.length === 0) metric.bind({}); // a metric without labels is 0 from the start, not absent
  const scraped: ScrapedMetric = {
    name: declaration.name,
    help: declaration.help,
    type: declaration.type,
    async get() {
      for (const collect of collectors) await collect();
      const values = [...series.values()].flatMap((one) => one.samples(declaration.name, one.labels));
      return { name: declaration.name, help: declaration.help, type: declaration.type, values, aggregator: 'sum' };
    },
    reset: () => series.forEach((one) => void one.reset()),
  };
  adopt(registry, scraped);
  return metric;
}

function createSeries(declaration: MetricDeclaration, labels: Readonly<Record<string, string>>): Series<unknown> {
  if (declaration.type === 'histogram') {
    const child = createHistogramChild(declaration.buckets);
    return { labels, child, samples: (name) => child.samples(name, labels), reset: () => child.reset() };
  }
  const child = new Cell();
  return {
    labels,
    child,
    samples: () => [{ labels, value: child.value }],
    reset: () => child.set(0),
  };
}

class Cell implements BoundCounter, BoundGauge {
  value = 0;

  inc(by = 1): void {
    this.value += by;
  }

  dec(by = 1): void {
    this.value -= by;
  }

  set(value: number): void {
    this.value = value;
  }
}

/** A line of the generated table of metrics. */
export interface MetricRow {
  readonly section: string;
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly unit?: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
  readonly help: string;
}

export function describeMetrics(definition: MetricsDefinition): MetricRow[] {
  return Object.values(definition.metrics).map((declaration) => ({
    section: definition.section,
    name: declaration.name,
    type: declaration.type,
    ...(declaration.type === 'histogram' ? { unit: declaration.unit, buckets: declaration.buckets } : {}),
    labels: declaration.labels ?? [],
    help: declaration.help,
  }));
}
