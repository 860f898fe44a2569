import { expect, test } from 'vitest';
import { template } from './chart.ts';

/** What is set, and what the message must say so that a person can mend it. */
const STANDALONE: readonly [string, RegExp][] = [
  ['mode=both', /at '\/mode': value must be one of 'standalone', 'distributed'/],
  ['inferenc.replicas=3', /additional properties 'inferenc' not allowed/],
  ['inference.replicas=3', /at '\/inference': value must be 'left out: it is read in mode distributed only'/],
  ['kafka.brokers={kafka:9092}', /at '\/kafka': value must be 'left out: it is read in mode distributed only'/],
  ['image.tga=1.0.0', /at '\/image': additional properties 'tga' not allowed/],
  ['image.tag=latest', /image\.tag: latest names whatever was pushed last/],
  ['image.pullPolicy=Sometimes', /at '\/image\/pullPolicy': value must be one of 'IfNotPresent', 'Always', 'Never'/],
  ['logLevel=loud', /at '\/logLevel': value must be one of 'trace', 'debug'/],
  ['config.inference.maxBatchRow=32', /at '\/config\/inference': additional properties 'maxBatchRow' not allowed/],
  ['config.inference.maxBatchRows=many', /at '\/config\/inference\/maxBatchRows': got string, want integer/],
  ['config.inference.maxBatchRows=0', /at '\/config\/inference\/maxBatchRows': minimum: got 0, want 1/],
  ['config.inference.host=0.0.0.0', /at '\/config\/inference': additional properties 'host' not allowed/],
  ['standalone.storage.size=lots', /at '\/standalone\/storage\/size': 'lots' does not match pattern/],
  ['standalone.service.type=Ingress', /at '\/standalone\/service\/type': value must be one of 'ClusterIP'/],
  [
    'standalone.terminationGracePeriodSeconds=20',
    /standalone: terminationGracePeriodSeconds is 20.* at least .*5 services after each other.* = 35/,
  ],
  ['networkPolicy.clients=', /at '\/networkPolicy\/clients': got string, want array/],
  ['metrics.alerts.errorRatio=5', /at '\/metrics\/alerts\/errorRatio': maximum: got 5, want 1/],
  ['fullnameOverride=Assay_1', /at '\/fullnameOverride': 'Assay_1' does not match pattern/],
];
const DISTRIBUTED: readonly [string, RegExp][] = [
  ['standalone.storage.size=1Gi', /at '\/standalone': value must be 'left out: it is read in mode standalone only'/],
  ['database.existingSecret=', /at '\/database\/existingSecret': '' does not match pattern/],
  ['database.cidrs={everywhere}', /at '\/database\/cidrs\/0': 'everywhere' does not match pattern/],
  ['kafka.brokers={}', /at '\/kafka\/brokers\/0': '' does not match pattern/],
  ['kafka.brokers={kafka-0}', /at '\/kafka\/brokers\/0': 'kafka-0' does not match pattern/],
  ['kafka.sasl.mechanism=gssapi', /at '\/kafka\/sasl\/mechanism': value must be one of/],
  ['kafka.sasl.mechanism=plain', /kafka\.sasl\.existingSecret: plain needs a Secret with username and password/],
  ['kafka.tls.caSecret=kafka-ca', /kafka\.tls\.caSecret is set and kafka\.tls\.enabled is false/],
  ['blobs.url=http://blobs', /at '\/blobs\/url': 'http:\/\/blobs' does not match pattern/],
  ['inference.replicas=0', /at '\/inference\/replicas': minimum: got 0, want 1/],
  ['inference.resources.limits.memory=4 GB', /at '\/inference\/resources\/limits\/memory': '4 GB' does not match/],
  ['inference.autoscaling.minReplicas=20', /inference\.autoscaling: minReplicas \(20\) is over maxReplicas \(10\)/],
  ['inference.terminationGracePeriodSeconds=20', /inference: terminationGracePeriodSeconds is 20.* at least .* = 25/],
  ['inference.drainDelaySeconds=601', /at '\/inference\/drainDelaySeconds': maximum: got 601, want 600/],
  ['inference.drainDelaySeconds=100', /inference: terminationGracePeriodSeconds is 40.* at least .* = 117/],
  ['inference.tolerations[0].efect=NoSchedule', /at '\/inference\/tolerations\/0': additional properties 'efect'/],
  ['inferenceGpu.enabled=true', /gpu\.preset: inferenceGpu is enabled and there is no GPU pool/],
  ['gpu.preset=gcp', /at '\/gpu\/preset': value must be one of 'none', 'generic', 'aks'/],
  [
    'gpu.preset=gke',
    /gpu\.accelerator: the preset gke needs the value of the label cloud\.google\.com\/gke-accelerator/,
  ],
  ['jobs.namespace=scoring', /jobs\.namespace: scoring is the release's own namespace/],
];

test.each(STANDALONE)('standalone refuses %s in words', async (set, message) => {
  const { status, stderr } = await template({ preset: 'standalone', set: [set] });
  expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(message) });
});

test.each(DISTRIBUTED)('distributed refuses %s in words', async (set, message) => {
  const { status, stderr } = await template({ preset: 'distributed', set: [set] });
  expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(message) });
});

test('distributed refuses to do without what it keeps things in', async () => {
  const { status, stderr } = await template({ set: ['mode=distributed'] });
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringContaining("missing properties 'database', 'kafka', 'blobs'"),
  });
});
