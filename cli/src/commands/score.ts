/** `assay score`: records in, predictions out. */
import { createScoringClient, decodeJson, encodeJson, type ScoringClient } from '@assay/client';
import { AssayError, type ScoreResponse } from '@assay/contracts';
import type { Io } from '../io.ts';
import { json, table } from '../output.ts';
import { peerOf, type TargetOptions } from '../targets.ts';
import { readUserFile } from '../user-files.ts';
import { orDidYouMean } from './models.ts';

export interface ScoreOptions extends TargetOptions {
  readonly record: readonly string[];
  readonly records?: string;
  readonly timeoutMs?: number;
}

type JsonRecord = Readonly<Record<string, unknown>>;

export async function score(io: Io, endpoint: string, options: ScoreOptions): Promise<void> {
  const records = [
    ...options.record.map((text, i) => asRecord(parseText(text, '--record'), `--record ${i + 1}`)),
    ...(options.records === undefined ? [] : await readRecords(io, options.records)),
  ];
  if (records.length === 0) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      'there is nothing to score; give --record \'{"feature": value}\' or --records FILE',
    );
  }
  await using inference = createScoringClient(await peerOf('inference', io, options));
  const call = { signal: io.signal, ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }) };
  const scored = await inference
    .score(endpoint, records, call)
    .catch((error: unknown) => suggest(inference, endpoint, error));
  io.out(options.json ? json(scored) : predictionTable(scored));
}

async function readRecords(io: Io, path: string): Promise<JsonRecord[]> {
  const text = path === '-' ? await io.readStdin() : await readUserFile(io, path);
  const name = path === '-' ? 'standard input' : path;
  // One document, or one a line: a file whose first line is a whole document and has more lines is the latter.
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length > 1 && isJson(lines[0] ?? '')) {
    return lines.map((line, i) => asRecord(parseText(line, `${name}:${i + 1}`), `${name}:${i + 1}`));
  }
  const value = parseText(text, name);
  const list = isRecord(value) && Array.isArray(value.records) ? value.records : value;
  if (Array.isArray(list)) return list.map((record: unknown, i) => asRecord(record, `${name}: record ${i}`));
  return [asRecord(list, name)];
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function parseText(text: string, place: string): unknown {
  try {
    return decodeJson(text);
  } catch (cause) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `${place} is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
    );
  }
}

function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function asRecord(value: unknown, place: string): JsonRecord {
  if (isRecord(value)) return value;
  throw new AssayError(
    'INVALID_ARGUMENT',
    `${place}: expected an object of named features, got ${encodeJson(value)?.slice(0, 60)}`,
  );
}

/** NOT_FOUND of an endpoint with the name that was probably meant; anything else as it was. */
async function suggest(inference: ScoringClient, endpoint: string, error: unknown): Promise<never> {
  if (!(error instanceof AssayError) || error.code !== 'NOT_FOUND' || error.message.includes('did you mean'))
    throw error;
  const { items } = await inference.listEndpoints().catch(() => ({ items: [] }));
  const names = items.map(({ name }) => name);
  throw new AssayError('NOT_FOUND', `there is no endpoint "${endpoint}"${orDidYouMean(endpoint, names, 'endpoints')}`, {
    cause: error,
  });
}

function predictionTable({ model, version, predictions }: ScoreResponse): string {
  const names = [...new Set(predictions.flatMap(({ outputs }) => Object.keys(outputs)))];
  const rows = predictions.map(({ id, outputs }) => [...names.map((name) => encodeJson(outputs[name]) ?? ''), id]);
  return `${table([...names.map((name) => name.toUpperCase()), 'ID'], rows)}(${model} version ${version})\n`;
}
