// What `helm test` runs: registers the package that is mounted beside this file (files/helm-test), once, and scores its golden records.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const MODEL = 'assay-helm-test';
const SERVED_WITHIN_MS = 90_000;
const { REGISTRY_URL, INFERENCE_URL, KEY_FILE } = process.env;
const key = readFileSync(KEY_FILE, 'utf8').trim();

async function call(url, method, body, accepted = [200, 201]) {
  const isBytes = Buffer.isBuffer(body);
  const response = await fetch(url, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': isBytes ? 'application/octet-stream' : 'application/json' }),
    },
    body: body === undefined || isBytes ? body : JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  });
  const text = await response.text();
  if (!accepted.includes(response.status)) throw new Error(`${method} ${url}: ${response.status} ${text}`);
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

const files = ['assay.json', 'MLmodel', 'model.onnx'].map((path) => {
  const bytes = readFileSync(new URL(path, import.meta.url));
  return { path, bytes, sha256: createHash('sha256').update(bytes).digest('hex'), sizeBytes: bytes.length };
});
const digest = files[0].sha256;

await call(`${REGISTRY_URL}/v1/models`, 'POST', { name: MODEL }, [200, 201, 409]);
for (const { bytes, sha256 } of files) await call(`${REGISTRY_URL}/v1/blobs/${sha256}`, 'PUT', bytes);
const { body: version } = await call(`${REGISTRY_URL}/v1/models/${MODEL}/versions`, 'POST', {
  files: files.map(({ path, sha256, sizeBytes }) => ({ path, sha256, sizeBytes })),
  idempotencyKey: `helm-test-${digest.slice(0, 40)}`,
});
const champion = await call(`${REGISTRY_URL}/v1/models/${MODEL}/aliases/champion`, 'GET', undefined, [200, 404]);
if (champion.status === 404 || champion.body.versionId !== version.id) {
  await call(`${REGISTRY_URL}/v1/models/${MODEL}/aliases/champion`, 'PUT', {
    version: version.id,
    expectedRevision: champion.body.revision ?? 0,
  });
}
console.log(`registered ${MODEL} version ${version.version}`);

const { golden } = JSON.parse(files[0].bytes.toString('utf8'));
const deadlineMs = Date.now() + SERVED_WITHIN_MS;
let answer;
for (;;) {
  answer = await call(
    `${INFERENCE_URL}/v1/endpoints/${MODEL}/score`,
    'POST',
    { records: golden.records },
    [200, 404, 503],
  );
  if (answer.status === 200 && answer.body.versionId === version.id) break;
  if (Date.now() > deadlineMs) throw new Error(`version ${version.version} is not served: ${JSON.stringify(answer)}`);
  await delay(500);
}

golden.outputs.forEach((expected, row) => {
  const got = answer.body.predictions[row].outputs;
  const near = (a, b) => Math.abs(a - b) <= golden.tolerance.absolute + golden.tolerance.relative * Math.abs(b);
  for (const [name, value] of Object.entries(expected)) {
    const pairs = Array.isArray(value) ? value.map((one, i) => [got[name][i], one]) : [[got[name], value]];
    if (!pairs.every(([a, b]) => near(a, b))) {
      throw new Error(`record ${row}: ${name} is ${JSON.stringify(got[name])}, expected ${JSON.stringify(value)}`);
    }
  }
});
console.log(`scored ${golden.records.length} records as expected`);
