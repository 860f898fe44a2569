import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readResults, runJob, temporaryFolder } from './batch-under-test.ts';
import { flightModel, flightRecords, type MadeModel, writeCsv, writeNdjson } from './models-under-test.ts';

const CLI = fileURLToPath(new URL('../../../cli/src/main.ts', import.meta.url));
const opened = new AsyncDisposableStack();
let folder: string;
let model: MadeModel;
let url: string;

beforeAll(async () => {
  folder = await temporaryFolder(opened);
  model = await flightModel(folder);
  const child = spawn(process.execPath, [CLI, 'serve', `flights=${model.dir}`, '--http', '0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  opened.defer(async () => {
    child.kill('SIGTERM');
    if (child.exitCode === null) await once(child, 'exit');
  });
  const [line] = await once(child.stdout, 'data');
  const ready: { http: string } = JSON.parse(String(line));
  url = ready.http;
});
afterAll(() => opened.disposeAsync());

async function overRest(records: readonly unknown[]): Promise<{ label: number; probabilities: number[] }[]> {
  const outputs: { label: number; probabilities: number[] }[] = [];
  for (let from = 0; from < records.length; from += 50) {
    const response = await fetch(`${url}/v1/endpoints/flights/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ records: records.slice(from, from + 50) }),
    });
    expect(response.status).toBe(200);
    const answer = (await response.json()) as {
      predictions: { outputs: { label: number; probabilities: number[] } }[];
    }; // a 200 of this route
    outputs.push(...answer.predictions.map((prediction) => prediction.outputs));
  }
  return outputs;
}

test.each([1, 3])('a batch with %i threads gives the bits that REST gives', async (threads) => {
  const records = flightRecords(7000);
  const expected = await overRest(records);
  expect(new Set(expected.map(({ probabilities }) => probabilities[1])).size).toBeGreaterThan(6000);
  // The last is large enough for larger runs of the graph.
  const padded = records.map((record) => ({ ...record, unused: 'x'.repeat(1300) }));
  const csv = await writeCsv(join(folder, `${threads}.csv`), records);
  const ndjson = await writeNdjson(join(folder, `${threads}.ndjson`), records);
  const large = await writeNdjson(join(folder, `${threads}-large.ndjson`), padded);
  for (const path of [csv, ndjson, large]) {
    const out = `${path}-out`;
    await runJob(model, { input: { path }, output: { path: out }, shardRows: 3000 }, { threads });
    const rows = await readResults(out);
    expect(
      rows.map(({ label, probabilities_on_time, probabilities_late }) => ({
        label: Number(label),
        probabilities: [probabilities_on_time, probabilities_late],
      })),
    ).toEqual(expected);
  }
});
