/** What commands print: tables for people, one JSON document for programs, errors for both. */
import { encodeJson } from '@assay/client';
import { type AssayError, METRICS } from '@assay/contracts';

/** Columns wide enough for their longest cell; the last one is not padded. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** `name  value` lines. */
export function facts(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

export function json(value: unknown): string {
  return `${encodeJson(value, 2)}\n`;
}

export function instant(epochMs: number): string {
  return new Date(epochMs).toISOString().slice(0, 19).replace('T', ' ');
}

export function metric(value: number): string {
  return String(Number(value.toPrecision(5)));
}

/** The metrics that people ask for first; the others follow in the order in which they come. */
export function byImportance(metrics: Readonly<Record<string, number>>): (readonly [string, number])[] {
  const rank = (name: string): number => {
    const found = (METRICS as readonly string[]).indexOf(name);
    return found === -1 ? METRICS.length : found;
  };
  return Object.entries(metrics).sort(([a], [b]) => rank(a) - rank(b));
}

const MAX_DETAILS = 10;

/** An error as lines for a person; the first one says it all, the rest are its places. */
export function errorText(error: AssayError): string {
  const lines = [`assay: ${error.message}`];
  const [only] = error.details;
  const isSaid = only === undefined || (error.details.length === 1 && error.message.includes(only.message));
  if (!isSaid) {
    for (const { place, message, expected } of error.details.slice(0, MAX_DETAILS)) {
      lines.push(
        `  ${place}: ${message}${expected === undefined || message.includes(expected) ? '' : ` (expected ${expected})`}`,
      );
    }
    if (error.details.length > MAX_DETAILS) lines.push(`  and ${error.details.length - MAX_DETAILS} more`);
  }
  return `${lines.join('\n')}\n`;
}

export function errorJson(error: AssayError): string {
  const { code, message, details, retryable, currentRevision } = error;
  return json({
    error: { code, message, details, retryable, ...(currentRevision === undefined ? {} : { currentRevision }) },
  });
}
