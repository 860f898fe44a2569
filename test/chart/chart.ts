/** Renders the chart with the real helm and reads what comes out. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseYaml } from '@assay/runtime';

export const ROOT = join(import.meta.dirname, '..', '..');
export const CHART = join(ROOT, 'charts', 'assay');
export const NAMESPACE = 'scoring';
const BIN = join(ROOT, '.cache', 'bin');

/** The values files of `presets/`, by name: each is a way of running that must always render. */
export const PRESETS = readdirSync(join(CHART, 'presets')).map((file) => file.replace(/\.yaml$/, ''));

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Json;
  readonly data?: Readonly<Record<string, string>>;
  readonly rules?: Json;
}
/** As YAML gives it; what a test asks for is looked up by `at`. */
export type Json = unknown;

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** @throws an error that says how to get the tool, where it is not there */
export async function runTool(tool: 'helm' | 'kubeconform', parameters: readonly string[]): Promise<Outcome> {
  try {
    const { stdout, stderr } = await promisify(execFile)(join(BIN, tool), [...parameters], {
      maxBuffer: 64 << 20,
      timeout: 120_000,
      env: { PATH: process.env.PATH, HOME: join(ROOT, '.cache', 'helm') },
    });
    return { status: 0, stdout, stderr };
  } catch (error) {
    const failed = error as { code?: number | string; stdout?: string; stderr?: string }; // as execFile rejects
    if (failed.code === 'ENOENT')
      throw new Error(`${tool} is not installed: run test/chart/install-tools`, { cause: error });
    if (typeof failed.code !== 'number') throw error;
    return { status: failed.code, stdout: failed.stdout ?? '', stderr: failed.stderr ?? '' };
  }
}

export interface ChartValues {
  readonly preset?: string;
  /** As `--set` takes them: `image.tag=1.2.3`. */
  readonly set?: readonly string[];
}

function valueFlags({ preset, set = [] }: ChartValues): string[] {
  return [
    ...(preset === undefined ? [] : ['--values', join(CHART, 'presets', `${preset}.yaml`)]),
    ...set.flatMap((one) => ['--set', one]),
  ];
}

const templates = new Map<string, Promise<Outcome>>();

/** What the same values give is rendered once in a file of tests. */
export function template(values: ChartValues): Promise<Outcome> {
  const parameters = ['template', 'assay', CHART, '--namespace', NAMESPACE, ...valueFlags(values)];
  const key = parameters.join('\n');
  const outcome = templates.get(key) ?? runTool('helm', parameters);
  templates.set(key, outcome);
  return outcome;
}

export function lint(values: ChartValues): Promise<Outcome> {
  return runTool('helm', ['lint', CHART, '--strict', ...valueFlags(values)]);
}

/** The objects that an installation would make. */
export async function render(values: ChartValues): Promise<KubernetesObject[]> {
  const { status, stdout, stderr } = await template(values);
  if (status !== 0) throw new Error(`helm template ${JSON.stringify(values)}: ${stderr}`);
  return stdout
    .split(/^---$/m)
    .map((document) => readYaml(document) as KubernetesObject | null) // helm printed it; kubeconform checks its form
    .filter((object): object is KubernetesObject => object !== null && object !== undefined);
}

export function readYaml(text: string): Json {
  return parseYaml({}, text, 'helm template');
}

/** What lies at a path of a parsed document: `at(object, 'spec', 'template')`; undefined where there is nothing. */
export function at(value: Json, ...path: readonly (string | number)[]): Json {
  let found: Json = value;
  for (const step of path) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = (found as Readonly<Record<string | number, unknown>>)[step]; // an object or array; absent keys are undefined
  }
  return found;
}

/** `at`, for a list; an absent one is empty. */
export function listAt(value: Json, ...path: readonly (string | number)[]): readonly Json[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found : [];
}

export interface RenderedPod {
  /** `Deployment/assay-inference` */
  readonly from: string;
  readonly spec: Json;
}

/** The pods that the objects lead to. */
export function podsOf(objects: readonly KubernetesObject[]): RenderedPod[] {
  return objects.flatMap((object) => {
    const from = `${object.kind}/${object.metadata.name}`;
    if (object.kind === 'Pod') return [{ from, spec: object.spec }];
    const spec = at(object, 'spec', 'template', 'spec');
    return spec === undefined ? [] : [{ from, spec }];
  });
}

export function find(objects: readonly KubernetesObject[], kind: string, name: string): KubernetesObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind}/${name}`);
  return found;
}
