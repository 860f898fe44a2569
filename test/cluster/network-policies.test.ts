import { expect, test } from 'vitest';
import { type End, type Flow, isWithin, type NetworkPolicy, type Policies, refusalOf } from './network-policies.ts';

const pod = (namespace: string, name: string, address = '10.0.0.1'): End => ({
  address,
  pod: { namespace, name, labels: { app: name } },
});
const policy = (name: string, spec: Partial<NetworkPolicy['spec']>): NetworkPolicy => ({
  metadata: { name, namespace: 'main' },
  spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'], ...spec },
});
const judged = (policies: readonly NetworkPolicy[]): Policies => ({
  policies,
  namespaces: new Map([
    ['main', { name: 'main' }],
    ['jobs', { name: 'jobs' }],
  ]),
});
const flow = (from: End, to: End, port = 80, protocol: Flow['protocol'] = 'TCP'): Flow => ({
  from,
  to,
  port,
  protocol,
});

const web = pod('main', 'web');
const store = pod('main', 'store');
const outside: End = { address: '192.0.2.7' };
const denyAll = policy('deny', {});

test('a pod that no policy selects is open, in a namespace with none', () => {
  expect(refusalOf(flow(pod('jobs', 'job'), outside), judged([denyAll]))).toBeUndefined();
});

test('a policy without rules refuses both directions, and names itself', () => {
  expect(refusalOf(flow(web, outside), judged([denyAll]))).toBe('Egress of web: deny');
  expect(refusalOf(flow(outside, web), judged([denyAll]))).toBe('Ingress of web: deny');
});

test('a flow between pods needs the consent of both', () => {
  const out = policy('web', {
    podSelector: { matchLabels: { app: 'web' } },
    egress: [{ to: [{ podSelector: { matchLabels: { app: 'store' } } }], ports: [{ protocol: 'TCP', port: 80 }] }],
  });
  const into = policy('store', {
    podSelector: { matchLabels: { app: 'store' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 80 }] }],
  });
  expect(refusalOf(flow(web, store), judged([denyAll, out]))).toBe('Ingress of store: deny');
  expect(refusalOf(flow(web, store), judged([denyAll, into]))).toBe('Egress of web: deny');
  expect(refusalOf(flow(web, store), judged([denyAll, out, into]))).toBeUndefined();
  expect(refusalOf(flow(web, store, 81), judged([denyAll, out, into]))).toMatch(/^Egress of web/);
  expect(refusalOf(flow(web, store, 80, 'UDP'), judged([denyAll, out, into]))).toMatch(/^Egress of web/);
  expect(refusalOf(flow(store, web), judged([denyAll, out, into]))).toMatch(/^Egress of store/);
});

test('a pod selector means the own namespace, a namespace selector another', () => {
  const job = pod('jobs', 'web');
  const same = policy('web', { ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }] });
  const other = policy('web', { ingress: [{ from: [{ namespaceSelector: { matchLabels: { name: 'jobs' } } }] }] });
  expect(refusalOf(flow(job, store), judged([same]))).toBe('Ingress of store: web');
  expect(refusalOf(flow(job, store), judged([other]))).toBeUndefined();
  expect(refusalOf(flow(pod('main', 'x'), store), judged([other]))).toBe('Egress of x: web');
});

test('an address block is of addresses, without its exceptions; a rule without peers is for everybody', () => {
  const block = policy('block', {
    egress: [{ to: [{ ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.8/32'] } }] }],
  });
  expect(refusalOf(flow(web, outside), judged([block]))).toBeUndefined();
  expect(refusalOf(flow(web, { address: '192.0.2.8' }), judged([block]))).toBe('Egress of web: block');
  expect(refusalOf(flow(web, { address: '198.51.100.1' }), judged([block]))).toBe('Egress of web: block');
  const anywhere = policy('dns', { egress: [{ ports: [{ protocol: 'UDP', port: 53 }] }] });
  expect(refusalOf(flow(web, outside, 53, 'UDP'), judged([anywhere]))).toBeUndefined();
  expect(refusalOf(flow(web, outside, 53), judged([anywhere]))).toBe('Egress of web: dns');
});

test('an address is within a block by its bits', () => {
  expect(isWithin('10.232.0.255', '10.232.0.0/24')).toBe(true);
  expect(isWithin('10.232.1.0', '10.232.0.0/24')).toBe(false);
  expect(isWithin('255.255.255.255', '0.0.0.0/0')).toBe(true);
  expect(() => isWithin('::1', '10.0.0.0/8')).toThrow('no IPv4 address');
});
