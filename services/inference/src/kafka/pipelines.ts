/** The pipelines file: what stream scoring reads, asks and writes. */
import { readFile } from 'node:fs/promises';
import { AssayError, type Pipeline, Pipelines, pipelineGroup, pipelineProblems } from '@assay/contracts';
import { parseYaml, readYaml } from '@assay/runtime';

const DEFAULT_MAX_BATCH_RECORDS = 500;

/** A pipeline with nothing left to default. */
export interface RunnablePipeline extends Pipeline {
  readonly group: string;
  readonly maxBatchRecords: number;
}

/**
 * The pipelines of a YAML file.
 * @throws INVALID_ARGUMENT with the line of each wrong place, or when the file cannot be read
 */
export async function readPipelines(path: string): Promise<RunnablePipeline[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new AssayError('INVALID_ARGUMENT', `the pipelines file ${path} cannot be read`, { cause });
  });
  const { pipelines } = parseYaml(Pipelines, text, path);
  const document = readYaml(text, path);
  const details = pipelineProblems(pipelines).map(({ index, key, message, expected }) => ({
    place: document.place(['pipelines', index, key]),
    message,
    expected,
  }));
  const [first] = details;
  if (first !== undefined) {
    const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
    throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}${more}`, { details });
  }
  return pipelines.map(runnable);
}

/** With its defaults. */
export function runnable(pipeline: Pipeline): RunnablePipeline {
  const { maxBatchRecords = DEFAULT_MAX_BATCH_RECORDS } = pipeline;
  return { ...pipeline, group: pipelineGroup(pipeline), maxBatchRecords };
}
