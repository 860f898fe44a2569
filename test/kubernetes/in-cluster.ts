/** What the tests of this folder do on the cluster beside the launcher: namespaces, accounts, what kubectl sees. */

import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inject } from 'vitest';
import {
  type KubernetesJobSettings,
  type KubernetesLauncher,
  openKubernetesLauncher,
} from '../../packages/jobs/src/index.ts';
import { kubectl } from '../cluster/cluster.ts';

/** A namespace as the chart makes it for jobs: PodSecurity refuses what is not `restricted`. */
export async function createNamespace(name: string): Promise<void> {
  await kubectl(['create', 'namespace', name]);
  await kubectl(['label', 'namespace', name, 'pod-security.kubernetes.io/enforce=restricted']);
}

export async function deleteNamespace(name: string): Promise<void> {
  await kubectl(['delete', 'namespace', name, '--wait=false']);
}

export async function apply(...objects: readonly object[]): Promise<void> {
  await kubectl(['apply', '--filename', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
  });
}

export async function objects(kind: string, namespace: string): Promise<readonly ClusterObject[]> {
  const text = await kubectl(['--namespace', namespace, 'get', kind, '--output', 'json']);
  return (JSON.parse(text) as { items: ClusterObject[] }).items; // kubectl's own form of a list
}

export interface ClusterObject {
  readonly metadata: {
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly { readonly uid: string }[];
    readonly uid: string;
  };
  readonly spec?: { readonly nodeName?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly status?: { readonly phase?: string };
}

/** The pods of a launch, by the annotation that names it. */
export async function podsOf(namespace: string, id: string): Promise<readonly ClusterObject[]> {
  const pods = await objects('pods', namespace);
  return pods.filter(({ metadata }) => metadata.annotations?.['assay.dev/launch'] === id);
}

/** Whether a Secret holds that text. */
export function holds({ data = {} }: ClusterObject, text: string): boolean {
  return Object.values(data).some((value) => Buffer.from(value, 'base64').toString('utf8').includes(text));
}

export interface LauncherOptions {
  readonly namespace: string;
  readonly settings?: Partial<KubernetesJobSettings>;
  /** Default: the administrator's. */
  readonly kubeconfig?: string;
}

/** A launcher of the suite's jobs. */
export async function openLauncher({ namespace, settings, kubeconfig }: LauncherOptions): Promise<KubernetesLauncher> {
  const before = process.env.KUBECONFIG;
  process.env.KUBECONFIG = kubeconfig ?? inject('kubeconfig');
  try {
    return await openKubernetesLauncher({
      name: 'conformance',
      settings: {
        namespace,
        image: inject('image'),
        imagePullPolicy: 'Never',
        command: ['node', '--max-old-space-size=64', '/app/pod.mjs', '/app/job.mjs'],
        resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '512Mi' } },
        ...settings,
      },
      entry: new URL('file:///app/job.mjs'),
      log: { warn: (...line: unknown[]) => console.error(JSON.stringify(line)) },
    });
  } finally {
    if (before === undefined) delete process.env.KUBECONFIG;
    else process.env.KUBECONFIG = before;
  }
}

/** A kubeconfig for that server and token. */
export async function writeKubeconfig(change: {
  server?: string;
  token?: string;
}): Promise<{ path: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'assay-kubeconfig-'));
  const path = join(dir, 'config');
  let text = await readFile(inject('kubeconfig'), 'utf8');
  if (change.server !== undefined) text = text.replace(/server: "[^"]+"/, `server: "${change.server}"`);
  if (change.token !== undefined) text = text.replace(/client-certificate: [^}]*/, `token: ${change.token}`);
  await writeFile(path, text, { mode: 0o600 });
  return { path, remove: () => rm(dir, { recursive: true }) };
}

/** A way to the API server that can be cut, as it is when the API server restarts. */
export async function startCuttableWay(): Promise<{
  url: string;
  cut(): void;
  restore(): void;
  close(): Promise<void>;
}> {
  const kubeconfig = await readFile(inject('kubeconfig'), 'utf8');
  const target = new URL(/server: "([^"]+)"/.exec(kubeconfig)?.[1] ?? '');
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((socket) => {
    if (isCut) return socket.destroy();
    const onward = connect(Number(target.port), target.hostname);
    for (const one of [socket, onward]) {
      sockets.add(one);
      one
        .on('error', () => undefined)
        .on('close', () => {
          sockets.delete(one);
          socket.destroy();
          onward.destroy();
        });
    }
    socket.pipe(onward).pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // of a server that listens on TCP
  const destroyAll = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `https://127.0.0.1:${port}`,
    cut() {
      isCut = true;
      destroyAll();
    },
    restore() {
      isCut = false;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      destroyAll();
      await closed;
    },
  };
}
