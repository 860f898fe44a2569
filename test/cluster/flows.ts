/** Who calls whom, as the node's connection tracking sees it: every new connection of a pod, behind the translation of Services. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { kubectl } from './cluster.ts';
import { type End, type Flow, isWithin, type NetworkPolicy, type Policies } from './network-policies.ts';

const POD_CIDR = '10.232.0.0/24';
/** The node at the pods' network: the kubelet's probes come from it, which no NetworkPolicy can refuse. */
const NODE_AT_PODS = '10.232.0.1';

type Pod = NonNullable<End['pod']>;

export interface FlowRecorder {
  /** Every distinct flow until now between pods, or between a pod and something else. */
  stop(): Promise<readonly Flow[]>;
}

/** One line of `conntrack -E -e NEW`: the addresses as they were asked for, then as the answer comes back. */
const EVENT = /\[NEW\] (tcp|udp) .*?src=(\S+) dst=\S+ sport=\d+ dport=\d+ .*?src=(\S+) dst=\S+ sport=(\d+) dport=\d+/;

export async function recordFlows(): Promise<FlowRecorder> {
  const seen = new Map<string, { from: string; to: string; protocol: Flow['protocol']; port: number }>();
  const pods = new Map<string, Pod[]>();
  const events = follow(['conntrack'], (line) => {
    const [, protocol = '', from = '', to = '', port = ''] = EVENT.exec(line) ?? [];
    if (!isPod(from) && !isPod(to)) return;
    const flow = { from, to, protocol: protocol === 'udp' ? 'UDP' : 'TCP', port: Number(port) } as const;
    seen.set(JSON.stringify(flow), flow);
  });
  // A pod may be there for a second only: they are watched, not asked for at the end.
  const template = '{.metadata.namespace} {.metadata.name} {.status.podIP} {.metadata.labels}{"\\n"}';
  const watch = follow(
    ['kubectl', 'get', 'pods', '--all-namespaces', '--watch', `--output=jsonpath=${template}`],
    (line) => {
      // No tabs: kubectl would align them.
      const [namespace = '', name = '', address = '', labels = '{}'] = line.split(' ');
      if (!isPod(address)) return;
      const known = pods.get(address) ?? [];
      if (known.some((pod) => pod.name === name && pod.namespace === namespace)) return;
      pods.set(address, [...known, { namespace, name, labels: JSON.parse(labels) }]);
    },
  );
  return {
    async stop() {
      await Promise.all([events.stop(), watch.stop()]);
      return [...seen.values()]
        .filter(({ from }) => from !== NODE_AT_PODS)
        .map(({ from, to, ...flow }) => ({ from: endOf(from, pods), to: endOf(to, pods), ...flow }));
    },
  };
}

function isPod(address: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(address) && isWithin(address, POD_CIDR) && address !== NODE_AT_PODS;
}

function endOf(address: string, pods: ReadonlyMap<string, readonly Pod[]>): End {
  const [pod, ...others] = pods.get(address) ?? [];
  // Addresses are given out in turn: one that comes again would mean that a flow could be of either.
  if (others.length > 0)
    throw new Error(`${address} was the address of several pods: ${JSON.stringify([pod, ...others])}`);
  if (pod === undefined && isPod(address)) throw new Error(`${address} was the address of no pod that was seen`);
  return pod === undefined ? { address } : { address, pod };
}

interface Following {
  stop(): Promise<void>;
}

function follow(parameters: readonly string[], onLine: (line: string) => void): Following {
  const child: ChildProcess = spawn(`${import.meta.dirname}/cluster`, [...parameters], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', onLine);
  return {
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`cluster ${parameters.join(' ')} ended by itself (${child.exitCode ?? child.signalCode})`);
      }
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** The policies and namespaces, as the API server has them. */
export async function readPolicies(): Promise<Policies> {
  const items = async <T>(kind: string): Promise<readonly T[]> => {
    const text = await kubectl(['get', kind, '--all-namespaces', '--output=json']);
    return (JSON.parse(text) as { items: T[] }).items; // kubectl's own form of a list
  };
  type Namespace = { metadata: { name: string; labels?: Record<string, string> } };
  const namespaces = await items<Namespace>('namespaces');
  return {
    policies: await items<NetworkPolicy>('networkpolicies'),
    namespaces: new Map(namespaces.map(({ metadata }) => [metadata.name, metadata.labels ?? {}])),
  };
}

/** `inference → registry:8101`: pods by what they are, so that a list of flows can be read. */
export function describeFlow({ from, to, protocol, port }: Flow): string {
  const name = ({ address, pod }: End): string => {
    if (pod === undefined) return address;
    const component = pod.labels['app.kubernetes.io/component'] ?? pod.labels['app.kubernetes.io/name'];
    return component === undefined ? `${pod.namespace}/${pod.name}` : component;
  };
  return `${name(from)} → ${name(to)}:${port}${protocol === 'UDP' ? '/udp' : ''}`;
}
