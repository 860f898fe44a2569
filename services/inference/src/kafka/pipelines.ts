/** The pipelines file: what stream scoring reads, asks and writes. */
import { readFile } from 'node:fs/promises';
import { AssayError, type ErrorDetail, type Pipeline, Pipelines } from '@assay/contracts';
import { parseYaml, readYaml, type YamlDocument } from '@assay/runtime';

const DEFAULT_MAX_BATCH_RECORDS = 500;

/** A pipeline with nothing left to default. */
export interface PipelineSpec extends Pipeline {
  readonly group: string;
  readonly maxBatchRecords: number;
}

/**
 * The pipelines of a YAML file.
 * @throws INVALID_ARGUMENT with the line of each wrong place, or when the file cannot be read
 */
export async function readPipelines(path: string): Promise<PipelineSpec[]> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new AssayError('INVALID_ARGUMENT', `the pipelines file ${path} cannot be read`, { cause });
  });
  const { pipelines } = parseYaml(Pipelines, text, path);
  const details = contradictions(pipelines, readYaml(text, path));
  const [first] = details;
  if (first !== undefined) {
    const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
    throw new AssayError('INVALID_ARGUMENT', `${first.place}: ${first.message}${more}`, { details });
  }
  return pipelines.map((pipeline) => ({
    ...pipeline,
    group: pipeline.group ?? `assay-${pipeline.name}`,
    maxBatchRecords: pipeline.maxBatchRecords ?? DEFAULT_MAX_BATCH_RECORDS,
  }));
}

/** What each pipeline may say, and all of them together may not. */
function contradictions(pipelines: readonly Pipeline[], document: YamlDocument): ErrorDetail[] {
  const details: ErrorDetail[] = [];
  const names = new Set<string>();
  const sources = new Map<string, string>();
  pipelines.forEach((pipeline, i) => {
    const wrong = (key: keyof Pipeline, message: string, expected: string) =>
      details.push({ place: document.place(['pipelines', i, key]), message, expected });
    if (names.has(pipeline.name)) wrong('name', `the name "${pipeline.name}" is taken`, 'a name of its own');
    names.add(pipeline.name);
    for (const key of ['output', 'deadLetters'] as const) {
      // It would score its own results, for ever.
      if (pipeline[key] === pipeline.input) wrong(key, 'is the input topic too', 'another topic');
    }
    const source = `${pipeline.group ?? `assay-${pipeline.name}`} ${pipeline.input}`;
    const other = sources.get(source);
    // Members of one group share partitions: each pipeline would score a part of the input.
    if (other !== undefined) wrong('group', `pipeline "${other}" reads this input in the same group`, 'another group');
    sources.set(source, pipeline.name);
  });
  return details;
}
