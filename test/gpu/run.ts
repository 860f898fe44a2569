/**
 * What can be seen only where there is an NVIDIA GPU: `make gpu-test`. ONNX Runtime's CUDA provider must be beside the
 * runtime (`node dockerfiles/fetch-cuda-provider.ts`), its libraries on LD_LIBRARY_PATH; XGBoost's library is fetched by pip,
 * or named by ASSAY_TRAINING_XGBOOST_LIBRARY. `node test/gpu/run.ts WORDS` runs the checks that have them in their names.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openPackage } from '@assay/model-package';
import { attribute, buildTabularModel, float32Tensor, GraphBuilder, int64Tensor } from '@assay/onnx';
import { createScorer, packageFromOnnx, probeProvider, type Scorer } from '@assay/scoring';
import {
  features,
  LIBRARY_CACHE,
  makeRows,
  parityOf,
} from '../../services/training/src/trainers/trainer-under-test.ts';
import { loadXgBoost } from '../../services/training/src/trainers/xgboost/binding.ts';
import { requireCudaDevice } from '../../services/training/src/trainers/xgboost/cuda.ts';
import { findXgBoost } from '../../services/training/src/trainers/xgboost/library.ts';
import { trainXgBoost } from '../../services/training/src/trainers/xgboost/train.ts';

const run = promisify(execFile);
const { signal } = new AbortController();
const dir = await mkdtemp(join(tmpdir(), 'assay-gpu-'));
/** Each says what it saw, or throws. */
const checks: { readonly name: string; readonly holds: () => Promise<string> }[] = [];

function check(name: string, holds: () => Promise<string>): void {
  checks.push({ name, holds });
}

async function runChecks(): Promise<number> {
  let failed = 0;
  const wanted = checks.filter(({ name }) => name.includes(process.argv[2] ?? ''));
  for (const { name, holds } of wanted) {
    try {
      console.log(`passed  ${name}: ${await holds()}`);
    } catch (error) {
      console.log(`FAILED  ${name}: ${error instanceof Error ? error.stack : error}`);
      failed++;
    }
  }
  console.log(`${wanted.length - failed} passed, ${failed} failed`);
  return failed;
}

function expect(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}

async function refusal(work: Promise<unknown>, words: RegExp): Promise<string> {
  const error = await work.then(
    () => new Error('it was not refused'),
    (thrown: unknown) => thrown,
  );
  const message = error instanceof Error ? error.message : String(error);
  expect(words.test(message), `not in these words: ${message}`);
  return message;
}

/** Numbers from -1 to 1, always the same ones. */
function numbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** Layers of a multi-layer perceptron, `width` wide. */
function perceptron(width: number, layers: number): Uint8Array {
  const graph = new GraphBuilder();
  let value = graph.input('x', 'float32', ['N', width]);
  for (let layer = 0; layer < layers; layer++) {
    const weights = numbers(width * width, layer + 1).map((weight) => weight / Math.sqrt(width));
    const product = graph.node('Gemm', [value, graph.constant(float32Tensor(weights, [width, width]))], {
      attributes: { alpha: attribute.float(1) },
    });
    value = graph.node('Relu', [product]);
  }
  graph.node('ReduceMax', [value, graph.constant(int64Tensor([1]))], {
    attributes: { keepdims: attribute.int(1) },
    outputs: ['y'],
  });
  graph.output('y', 'float32', ['N', 1]);
  return graph.build();
}

async function scorerOf(name: string, options: Parameters<typeof createScorer>[1]): Promise<Scorer> {
  return createScorer(await openPackage(join(dir, name)), options);
}

function batchOf(scorer: Scorer, rows: number, width: number) {
  const batch = scorer.newBatch(rows);
  batch.appendTensors([{ name: 'x', dtype: 'float32', shape: [rows, width], data: numbers(rows * width, 99) }]);
  return batch;
}

async function medianMs(scorer: Scorer, rows: number, width: number): Promise<number> {
  const batch = batchOf(scorer, rows, width);
  const times: number[] = [];
  for (let i = 0; i < 15; i++) {
    const startMs = performance.now();
    await scorer.run(batch);
    times.push(performance.now() - startMs);
  }
  return times.toSorted((a, b) => a - b)[7] ?? Number.NaN;
}

check('the probe runs a graph on CUDA', async () => {
  await probeProvider('cuda', { signal });
  return 'in a process of its own';
});

const WIDTH = 1024;
check('a perceptron on CUDA gives what it gives on the CPU', async () => {
  await packageFromOnnx(perceptron(WIDTH, 4), {
    dir: join(dir, 'mlp'),
    examples: Array.from({ length: 8 }, (_, i) => ({ x: [...numbers(WIDTH, i + 1)] })),
  });
  const options = { maxBatchRows: 1024, signal };
  const cpu = await scorerOf('mlp', options);
  const cuda = await scorerOf('mlp', { ...options, provider: 'cuda' });
  const [ours, theirs] = [await cuda.run(batchOf(cuda, 256, WIDTH)), await cpu.run(batchOf(cpu, 256, WIDTH))];
  const [a, b] = [ours.tensor('y').data, theirs.tensor('y').data];
  let largest = 0;
  for (let i = 0; i < 256; i++) largest = Math.max(largest, Math.abs(Number(a[i]) / Number(b[i]) - 1));
  expect(largest < 2e-3, `they differ by ${largest}`);
  const times: string[] = [];
  for (const rows of [1, 64, 1024]) {
    const [onCpu, onCuda] = [await medianMs(cpu, rows, WIDTH), await medianMs(cuda, rows, WIDTH)];
    times.push(`${rows} rows ${onCpu.toFixed(2)} and ${onCuda.toFixed(2)} ms (${(onCpu / onCuda).toFixed(1)} ×)`);
  }
  const { batching, batchInvariant, executionClass, notes } = cuda;
  expect(batching.mode !== 'row', 'rows are run one by one, for which a GPU is not worth its price');
  cpu.close();
  cuda.close();
  return `largest relative difference ${largest.toExponential(1)}; one CPU thread and GPU: ${times.join(', ')}; ${JSON.stringify({ provider: executionClass.provider, batching, batchInvariant, notes })}`;
});

check('on CUDA a version runs in a thread by itself, or in a process, and gives what it gives here', async () => {
  const options = { maxBatchRows: 256, provider: 'cuda', signal } as const;
  const here = await scorerOf('mlp', options);
  const expected = (await here.run(batchOf(here, 256, WIDTH))).tensor('y').data;
  here.close();
  const said: string[] = [];
  for (const place of ['auto', 'process'] as const) {
    const apart = await scorerOf('mlp', { ...options, place });
    const { data } = (await apart.run(batchOf(apart, 256, WIDTH))).tensor('y');
    const times = `${(await medianMs(apart, 256, WIDTH)).toFixed(2)} ms for 256 rows`;
    apart.close();
    expect(apart.place === (place === 'auto' ? 'thread' : place), `${place} became ${apart.place}`);
    expect(String([...data]) === String([...expected]), `in a ${apart.place} the outputs differ`);
    said.push(`${apart.place}: ${times}`);
  }
  return said.join(', ');
});

/** What CUDA has no kernel for. */
async function writeTrees(name: string): Promise<void> {
  const trees = buildTabularModel({
    features: [{ name: 'a', dtype: 'float64', encoding: { kind: 'number' } }],
    predictor: {
      kind: 'trees',
      trees: [{ feature: 0, threshold: 1, missingGoesLeft: true, left: { leaf: -1 }, right: { leaf: 1 } }],
    },
  });
  await packageFromOnnx(trees, { dir: join(dir, name), examples: [{ a: 0.5 }, { a: 2 }] });
}

check('trees, which CUDA has no kernel for, are refused', async () => {
  await writeTrees('trees-alone');
  return refusal(
    scorerOf('trees-alone', { provider: 'cuda', signal }),
    /nodes that are assigned to the default CPU EP/,
  );
});
check('trees run where the CPU may help out', async () => {
  await writeTrees('trees-with-help');
  const scorer = await scorerOf('trees-with-help', { provider: 'cuda', fallback: true, signal });
  const batch = scorer.newBatch(2);
  batch.appendRecords([{ a: 0.5 }, { a: 2 }]);
  const { data } = (await scorer.run(batch)).tensor('label');
  scorer.close();
  expect(String([...data]) === '0,1', `labels ${String([...data])}`);
  return `labels ${String([...data])}`;
});

check('the driver counts devices', async () => `${await requireCudaDevice({ signal })}`);
check('XGBoost trains on CUDA as well as on the CPU, and its graph is its model', async () => {
  const library = loadXgBoost(
    await findXgBoost('cuda', {
      cacheDir: LIBRARY_CACHE,
      signal,
      ...(process.env.ASSAY_TRAINING_XGBOOST_LIBRARY === undefined
        ? {}
        : { library: process.env.ASSAY_TRAINING_XGBOOST_LIBRARY }),
    }),
  );
  const [train, validation] = [makeRows(400_000, 1), makeRows(20_000, 2)];
  const said: string[] = [];
  const losses: number[] = [];
  for (const device of ['cpu', 'cuda'] as const) {
    let last = Number.NaN;
    const startMs = performance.now();
    const model = await trainXgBoost(
      library,
      { name: 'xgboost', device, rounds: 200, params: { max_depth: 8 } },
      {
        features,
        train,
        validation,
        seed: 1,
        threads: 4,
        signal,
        onStep: ({ value }) => {
          last = value;
        },
      },
    );
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    const parity = await parityOf(model, train, makeRows(5000, 4), join(dir, `xgboost-${device}`));
    model.close();
    losses.push(last);
    said.push(`${device} ${seconds} s, log loss ${last.toFixed(5)}, graph within ${parity.toExponential(1)}`);
  }
  expect(Math.abs((losses[0] ?? 0) - (losses[1] ?? 1)) < 0.005, said.join('; '));
  return said.join('; ');
});
check('no visible device is said', async () => {
  process.env.CUDA_VISIBLE_DEVICES = '';
  const said = await refusal(requireCudaDevice({ signal }), /there is no GPU/);
  delete process.env.CUDA_VISIBLE_DEVICES;
  return said;
});
const gpu = await run('nvidia-smi', ['--query-gpu=name,driver_version', '--format=csv,noheader']).then(
  ({ stdout }) => stdout.trim(),
  () => undefined,
);
if (gpu === undefined) {
  console.log('no NVIDIA driver on this machine (nvidia-smi does not run)');
  console.log(`0 passed, 0 failed, ${checks.length} skipped`);
} else {
  console.log(gpu);
  process.exitCode = (await runChecks()) === 0 ? 0 : 1;
}
await rm(dir, { recursive: true, force: true });
