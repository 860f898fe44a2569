/** The example's whole training job beside Python's LightGBM on the same rows, features, split and parameters. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTrainingClient, hasEnded } from '@assay/client';
import { TrainingSpec } from '@assay/contracts';
import { parseYaml } from '@assay/runtime';
import { DuckDBInstance } from '@duckdb/node-api';
import { ROOT, temporaryFolder } from '../parts/assay.ts';

const run = promisify(execFile);
const EXAMPLE = join(ROOT, 'examples/flights');
const SPEC = join(EXAMPLE, 'flight-delay.yaml');

export async function benchTraining(trainingUrl: string): Promise<void> {
  const spec = parseYaml(TrainingSpec, await readFile(SPEC, 'utf8'), SPEC);
  console.log(
    '\nTraining the example (read, split, train, evaluate; Assay also checks parity, packages and registers)',
  );
  const ours = await trainHere(trainingUrl, { ...spec, model: 'bench-flight-delay', threads: 1 });
  const theirs = await trainInPython(spec);
  print('assay, 1 thread', ours);
  if (theirs === undefined) console.log('Python: lightgbm or pandas is not installed, nothing to compare with');
  else {
    print('Python, 1 thread', theirs);
    console.log(
      `ratio of times ${(theirs.seconds / ours.seconds).toFixed(2)}, difference of AUC ${(ours.auc - theirs.auc).toFixed(4)}`,
    );
  }
}

interface Outcome {
  readonly seconds: number;
  readonly auc: number;
}

function print(name: string, { seconds, auc }: Outcome): void {
  console.log(`${name.padEnd(18)} ${seconds.toFixed(2).padStart(7)} s   AUC ${auc.toFixed(4)}`);
}

async function trainHere(url: string, spec: TrainingSpec): Promise<Outcome> {
  const client = createTrainingClient({ url });
  try {
    let job = await client.createJob({ spec, baseDir: EXAMPLE });
    while (!hasEnded(job)) job = await client.getJob(job.id, { after: job.revision, waitMs: 10_000 });
    if (job.result === null || job.startedAt === null || job.endedAt === null) {
      throw new Error(`the job ended as ${job.state}: ${job.failure?.message}`);
    }
    return { seconds: (job.endedAt - job.startedAt) / 1000, auc: job.result.metrics.auc ?? Number.NaN };
  } finally {
    await client.close();
  }
}

/** The same rows as CSV (making it is not timed); undefined where Python lacks the packages. */
async function trainInPython(spec: TrainingSpec): Promise<Outcome | undefined> {
  if (spec.split.by !== 'time' || spec.trainer.name !== 'lightgbm' || !('path' in spec.source))
    throw new Error('the example changed its kind');
  const python = await run('python3', ['-c', 'import lightgbm, pandas']).catch(() => undefined);
  if (python === undefined) return undefined;
  await using folder = await temporaryFolder();
  const csv = join(folder.path, 'rows.csv');
  const { column, validationFrom, testFrom } = spec.split;
  const features = spec.features.map(({ name, expression }) => `${expression ?? `"${name}"`} AS "${name}"`);
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  await connection.run(`COPY (
    SELECT ${features.join(', ')}, (${spec.target.expression})::INT AS target,
      CASE WHEN "${column}" < '${validationFrom}' THEN 'train' WHEN "${column}" < '${testFrom}' THEN 'validation' ELSE 'test' END AS part
    FROM '${join(EXAMPLE, spec.source.path)}' ${spec.source.where === undefined ? '' : `WHERE ${spec.source.where}`}
  ) TO '${csv}' (HEADER)`);
  connection.closeSync();
  const { rounds = 200, earlyStoppingRounds = 0, params = {} } = spec.trainer;
  const categories = spec.features
    .filter(({ dtype, categorical }) => dtype === 'string' || categorical)
    .map(({ name }) => name);
  const options = JSON.stringify({ rounds, earlyStoppingRounds, params, categories, seed: spec.seed ?? 1 });
  const { stdout } = await run('python3', [join(ROOT, 'test/load/train_flights.py'), csv, options]);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
}
