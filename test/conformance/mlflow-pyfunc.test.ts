/** A model trained here, loaded by the real `mlflow.pyfunc` (PyPI): it scores a DataFrame as Assay does. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createRegistryClient } from '@assay/client';
import type { ScoreResponse } from '@assay/contracts';
import { describe, expect, it } from 'vitest';
import { startAssay, temporaryFolder } from '../parts/assay.ts';

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL('./mlflow_pyfunc.py', import.meta.url));

describe('mlflow.pyfunc', () => {
  it('loads the package of a version and scores a DataFrame equally', async () => {
    await using assay = await startAssay();
    await using folder = await temporaryFolder();
    const registry = createRegistryClient({ url: assay.run.services.registry.http });
    const dir = join(folder.path, 'package');
    await registry.downloadPackage(await registry.getVersion('flight-delay', 1), dir);
    await registry.close();

    const records = Array.from({ length: 100 }, (_, i) => ({
      hour: i % 24,
      weekday: 1 + (i % 7),
      distance: 150 + 23 * i,
      origin: ['ATL', 'ORD', 'DFW', 'QQQ'][i % 4],
      destination: ['BOS', 'SEA', 'LAX'][i % 3],
    }));
    const file = join(folder.path, 'records.json');
    await writeFile(file, JSON.stringify(records));
    const { stdout } = await run('python3', [SCRIPT, dir, file], { maxBuffer: 1 << 24 });
    const theirs: number[][] = JSON.parse(stdout);

    const response = await fetch(`${assay.run.services.inference.http}/v1/endpoints/flight-delay/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ records }),
    });
    const answer = (await response.json()) as ScoreResponse; // the conformance of its shape is first-path.test.ts's
    const ours = answer.predictions.map(({ outputs }) => outputs.probabilities as number[]); // by the signature
    expect(theirs.length).toBe(records.length);
    expect(new Set(theirs.map(String)).size).toBeGreaterThan(20);
    // Their ONNX Runtime is another version: equal within the last bits of a float32, not bit for bit.
    ours.forEach((row, i) => {
      row.forEach((value, j) => {
        expect(value).toBeCloseTo(theirs[i]?.[j] ?? Number.NaN, 6);
      });
    });
  });
});
