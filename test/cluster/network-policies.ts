/**
 * What NetworkPolicies allow, judged as a network plugin would: this cluster takes the objects and enforces none.
 * https://kubernetes.io/docs/concepts/services-networking/network-policies/
 */

export interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly unknown[];
}

export interface Peer {
  readonly podSelector?: Selector;
  readonly namespaceSelector?: Selector;
  readonly ipBlock?: { readonly cidr: string; readonly except?: readonly string[] };
}

interface Port {
  readonly protocol?: string;
  readonly port?: number | string;
}

export interface Rule {
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
  readonly ports?: readonly Port[];
}

export interface NetworkPolicy {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly podSelector: Selector;
    readonly policyTypes: readonly string[];
    readonly ingress?: readonly Rule[];
    readonly egress?: readonly Rule[];
  };
}

/** One end of a flow; without labels it is no pod. */
export interface End {
  readonly address: string;
  readonly pod?: {
    readonly namespace: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
  };
}

export interface Flow {
  readonly from: End;
  readonly to: End;
  readonly protocol: 'TCP' | 'UDP';
  /** Where it arrives, behind the translation of a Service. */
  readonly port: number;
}

export interface Policies {
  readonly policies: readonly NetworkPolicy[];
  /** Name → labels. */
  readonly namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** Why the flow would be refused; undefined where it is allowed. */
export function refusalOf(flow: Flow, all: Policies): string | undefined {
  for (const [direction, own, other] of [
    ['Egress', flow.from, flow.to],
    ['Ingress', flow.to, flow.from],
  ] as const) {
    const { pod } = own;
    if (pod === undefined) continue;
    const selecting = all.policies.filter(
      ({ metadata, spec }) =>
        metadata.namespace === pod.namespace &&
        spec.policyTypes.includes(direction) &&
        selects(spec.podSelector, pod.labels),
    );
    if (selecting.length === 0) continue; // a pod that no policy selects is open
    const isAllowed = selecting.some(({ metadata, spec }) => {
      const rules = (direction === 'Egress' ? spec.egress : spec.ingress) ?? [];
      return rules.some((rule) => allows(rule, other, flow, metadata.namespace, all));
    });
    if (!isAllowed) return `${direction} of ${pod.name}: ${selecting.map(({ metadata }) => metadata.name).join(', ')}`;
  }
  return undefined;
}

function allows(rule: Rule, other: End, { protocol, port }: Flow, namespace: string, all: Policies): boolean {
  const ports = rule.ports ?? [];
  const peers = rule.from ?? rule.to ?? [];
  const isPort = ({ protocol: its = 'TCP', port: number }: Port): boolean =>
    its === protocol && (number ?? port) === port;
  if (ports.length > 0 && !ports.some(isPort)) return false;
  return peers.length === 0 || peers.some((peer) => isPeer(peer, other, namespace, all));
}

function isPeer(peer: Peer, { address, pod }: End, namespace: string, { namespaces }: Policies): boolean {
  if (peer.ipBlock !== undefined) {
    const { cidr, except = [] } = peer.ipBlock;
    return isWithin(address, cidr) && !except.some((one) => isWithin(address, one));
  }
  if (pod === undefined) return false;
  const isNamespace =
    peer.namespaceSelector === undefined
      ? pod.namespace === namespace
      : selects(peer.namespaceSelector, namespaces.get(pod.namespace) ?? {});
  return isNamespace && selects(peer.podSelector ?? {}, pod.labels);
}

function selects({ matchLabels = {}, matchExpressions }: Selector, labels: Readonly<Record<string, string>>): boolean {
  if (matchExpressions !== undefined) throw new Error('matchExpressions are not judged here; the chart has none');
  return Object.entries(matchLabels).every(([name, value]) => labels[name] === value);
}

/** IPv4: `10.232.0.7` in `10.232.0.0/24`. */
export function isWithin(address: string, cidr: string): boolean {
  const [base = '', bits = ''] = cidr.split('/');
  const size = 2 ** (32 - Number(bits));
  return Math.floor(numberOf(address) / size) === Math.floor(numberOf(base) / size);
}

function numberOf(address: string): number {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) {
    throw new Error(`${address} is no IPv4 address`);
  }
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}
