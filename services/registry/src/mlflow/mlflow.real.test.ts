/** The real Python client of MLflow against a real registry. */
import type { AuditEntry, AuditVerification, Endpoint, Page, Version } from '@assay/contracts';
import type { AssayManifest } from '@assay/model-package';
import { describe, expect, it } from 'vitest';
import { startRegistry } from '../registry-under-test.ts';
import { MLFLOW_LINES, runPython, temporaryFolder } from './mlflow-under-test.ts';

describe.each(MLFLOW_LINES)('the Python client of MLflow $line', ({ packages }) => {
  const env = { PYTHONPATH: packages };

  it('makes, finds, changes, aliases and deletes models and versions, each an entry of the audit chain', async () => {
    await using registry = await startRegistry();
    expect(await runPython('registry_session.py', [registry.url], env)).toContain('the session ended well');

    const { body } = await registry.call<Page<AuditEntry>>('GET', '/v1/audit?limit=1000');
    const actions = new Set(body.items.map(({ action }) => action));
    expect([...actions].sort()).toEqual(
      [
        'alias.delete',
        'alias.move',
        'model.create',
        'model.delete',
        'model.tag',
        'model.update',
        'version.delete',
        'version.register',
        'version.update',
      ].sort(),
    );
    const verified = await registry.call<AuditVerification>('GET', '/v1/audit/verify');
    expect(verified.body).toMatchObject({ valid: true, entries: body.items.length });

    const versions = await registry.call<Page<Version>>('GET', '/v1/models/fraud/versions');
    expect(versions.body.items).toMatchObject([{ version: 1, notServable: 'it has no files here' }]);
    const endpoints = await registry.call<Page<unknown>>('GET', '/v1/endpoints');
    expect(endpoints.body.items).toEqual([]);
  });

  it('logs, searches, registers and loads a model, which is a version with a package then', async () => {
    await using registry = await startRegistry();
    await using folder = await temporaryFolder();
    const printed = await runPython('tracking_session.py', [registry.url, folder.path], env);
    expect(JSON.parse(printed.trim().split('\n').at(-1) ?? '')).toMatchObject({ probabilities: expect.any(Array) });

    const { body: version } = await registry.call<Version>('GET', '/v1/models/delay/versions/1');
    expect(version.signature).toEqual({
      features: [{ name: 'x', dtype: 'float32', shape: [3], nullable: false }],
      outputs: [{ name: 'probabilities', dtype: 'float32', shape: [2] }],
    });
    expect(version.files.map(({ path }) => path).sort()).toEqual(['MLmodel', 'assay.json', 'model.onnx']);
    const { body: manifest } = await registry.call<AssayManifest>('GET', `/v1/versions/${version.id}/files/assay.json`);
    expect(manifest.golden.source).toBe('example');
    expect(manifest.golden.records.slice(0, 2)).toEqual([{ x: [1, 2, 3] }, { x: [0.5, 0, -1] }]);
    const endpoint = await registry.call<Endpoint>('GET', '/v1/endpoints/delay');
    expect(endpoint.body.variants).toEqual([{ versionId: version.id, weight: 10_000 }]);
  });
});
