/**
 * Stacks of the bundle in terms of its sources. Node's own `--enable-source-maps` reads every map at the start and keeps it,
 * some 20 MB; here a map is read when a stack that is to be shown leads through its file.
 */
import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';

/** A place in a module, as V8 writes it. */
const PLACE = /(file:\/\/\/[^\s()]+\.mjs):(\d+):(\d+)/g;
const UPWARDS = /^(\.\.\/)+/;

/** By the URL of the file; undefined for one without a map. No more than the bundle has files. */
const maps = new Map<string, SourceMap | undefined>();

/** The same text; places that have a source become `packages/runtime/src/config.ts:12:3`. */
export function sourceStack(stack: string): string {
  return stack.replace(PLACE, (place: string, url: string, line: string, column: string) => {
    const origin = mapOf(url)?.findOrigin(Number(line), Number(column));
    return origin !== undefined && 'fileName' in origin
      ? `${origin.fileName.replace(UPWARDS, '')}:${origin.lineNumber}:${origin.columnNumber}`
      : place;
  });
}

function mapOf(url: string): SourceMap | undefined {
  if (!maps.has(url)) maps.set(url, readMap(url));
  return maps.get(url);
}

function readMap(url: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(url)}.map`, 'utf8')));
  } catch {
    return undefined; // there is none, or it cannot be read: the place in the bundle is shown
  }
}
