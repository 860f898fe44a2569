import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { ROOT, startAssay, temporaryFolder } from '../parts/assay.ts';
import { makeCertificates } from '../parts/certificates.ts';

const SERVICES = ['REGISTRY', 'INFERENCE', 'TRAINING', 'BATCH', 'MONITORING'];

it('all services, their jobs and the command speak TLS with each other, by a private authority', async () => {
  await using folder = await temporaryFolder();
  const { caFile, serverCertFile, serverKeyFile } = await makeCertificates(folder.path);
  const trust = { NODE_EXTRA_CA_CERTS: caFile };
  const files = SERVICES.flatMap((service) => [
    [`ASSAY_${service}_TLS_CERT_FILE`, serverCertFile],
    [`ASSAY_${service}_TLS_KEY_FILE`, serverKeyFile],
  ]);
  // Ready means that the example was trained and is served: a job has fetched, reported and registered.
  await using assay = await startAssay({ env: { ...trust, ...Object.fromEntries(files) } });
  const { services } = assay.run;
  for (const { http } of Object.values(services)) expect(http).toMatch(/^https:/);

  const trusted = getCACertificates();
  setDefaultCACertificates([...trusted, await readFile(caFile, 'utf8')]);
  try {
    const answer = await fetch(`${services.inference.http}/v1/endpoints/flight-delay/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"records":[{"hour":17,"weekday":5,"distance":802,"origin":"ORD","destination":"BOS"}]}',
    });
    expect([answer.status, await answer.json()]).toEqual([200, expect.objectContaining({ model: 'flight-delay' })]);
    const metrics = await (await fetch(`${services.inference.http}/metrics`)).text();
    expect(metrics).toContain('assay_tls_handshakes_failed_total 0\n');
  } finally {
    setDefaultCACertificates(trusted);
  }

  const command = [join(ROOT, 'cli/bin/assay.mjs'), 'models'];
  const env = { ...process.env, ASSAY_DATA_DIR: assay.dataDir };
  const { stdout } = await promisify(execFile)(join(ROOT, 'tools/node'), command, { env: { ...env, ...trust } });
  expect(stdout).toContain('flight-delay');
  await expect(promisify(execFile)(join(ROOT, 'tools/node'), command, { env })).rejects.toThrow(/certificate/);
});
