/** The tool `cluster` beside this file, and kubectl and helm on the cluster that it runs. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..', '..');
export const CHART = join(ROOT, 'charts', 'assay');
const TOOL = join(import.meta.dirname, 'cluster');

export interface CommandOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Shows what the command says while it runs. */
  readonly echo?: boolean;
}

export class CommandFailed extends Error {}

/**
 * Runs a command to its end.
 * @returns its standard output
 * @throws CommandFailed with what it said on standard error
 */
export function run(command: string, parameters: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { input, env, timeoutMs = 10 * 60_000, echo = false } = options;
  const child = spawn(command, [...parameters], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: timeoutMs,
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    if (echo) process.stderr.write(text);
  });
  child.stdin.on('error', () => undefined); // it ended without reading
  child.stdin.end(input ?? '');
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.on('error', reject);
  child.on('close', (code, signal) => {
    if (code === 0) resolve(stdout);
    else
      reject(new CommandFailed(`${command} ${parameters.join(' ')}: ${signal ?? `exit ${code}`}\n${stderr}${stdout}`));
  });
  return promise;
}

export const cluster = (parameters: readonly string[], options?: CommandOptions): Promise<string> =>
  run(TOOL, parameters, options);
export const kubectl = (parameters: readonly string[], options?: CommandOptions): Promise<string> =>
  cluster(['kubectl', ...parameters], options);
export const helm = (parameters: readonly string[], options?: CommandOptions): Promise<string> =>
  cluster(['helm', ...parameters], options);

/** Objects of a kind, as the API server has them. */
export async function list(kind: string, namespace: string, selector?: string): Promise<readonly ClusterObject[]> {
  const text = await kubectl([
    '--namespace',
    namespace,
    'get',
    kind,
    '--output=json',
    ...(selector === undefined ? [] : ['--selector', selector]),
  ]);
  return (JSON.parse(text) as { items: ClusterObject[] }).items; // kubectl's own form of a list
}

export interface ClusterObject {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

/** An entry of a Secret. */
export async function secret(namespace: string, name: string, key: string): Promise<string> {
  const encoded = await kubectl(['-n', namespace, 'get', 'secret', name, '-o', `jsonpath={.data.${key}}`]);
  return Buffer.from(encoded, 'base64').toString('utf8');
}

/** The address of a Service; this machine has a route to the Services of its cluster. */
export async function serviceUrl(namespace: string, name: string, port: number): Promise<string> {
  const address = await kubectl(['-n', namespace, 'get', 'service', name, '-o', 'jsonpath={.spec.clusterIP}']);
  return `http://${address}:${port}`;
}

/** What to look at after a failure: pods, events, and the last lines of each pod. */
export async function describeState(): Promise<string> {
  const said: string[] = [];
  const add = async (parameters: readonly string[]): Promise<string> => {
    const text = await kubectl(parameters, { timeoutMs: 30_000 }).catch((error: unknown) => String(error));
    said.push(`$ kubectl ${parameters.join(' ')}\n${text}`);
    return text;
  };
  await add(['get', 'pods', '--all-namespaces', '--output=wide']);
  await add(['get', 'events', '--all-namespaces', '--sort-by=.lastTimestamp']);
  const pods = await kubectl([
    'get',
    'pods',
    '--all-namespaces',
    '-o',
    'jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{"\\n"}{end}',
  ]).catch(() => '');
  for (const line of pods.split('\n').filter((text) => text !== '')) {
    const [namespace = '', name = ''] = line.split(' ');
    await add(['-n', namespace, 'logs', name, '--all-containers', '--tail=40', '--prefix']);
  }
  return said.join('\n');
}
