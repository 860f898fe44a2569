/** Where the entry points of child processes and worker threads are, from source and in the bundle. */

/** From source this module is a `.ts` file; the bundle holds `.mjs` files only, in `dist/entries` and `dist/chunks`. */
const runsFromSource = import.meta.url.endsWith('.ts');

/**
 * The file of a process or thread entry: `entryUrl('services/training', 'job')` is
 * `services/training/src/entries/job.ts` from source and `dist/entries/services-training-job.mjs` in the bundle.
 */
export function entryUrl(owner: `packages/${string}` | `services/${string}` | 'cli', name: string): URL {
  if (runsFromSource) return new URL(`../../../${owner}/src/entries/${name}.ts`, import.meta.url);
  return new URL(`../entries/${owner.replaceAll('/', '-')}-${name}.mjs`, import.meta.url);
}

export interface NodeArgumentsOptions {
  /** The most that the JavaScript heap may grow to. */
  readonly maxHeapMegabytes?: number;
}

/**
 * The arguments of Node for a child process (`spawn(process.execPath, [...nodeArguments(), path])`) or a worker thread
 * (`execArgv`): nothing is taken over from this process, whose own may hold a debugger's port or a test runner's hooks.
 */
export function nodeArguments(options: NodeArgumentsOptions = {}): string[] {
  const heap = options.maxHeapMegabytes;
  return heap === undefined ? [] : [`--max-old-space-size=${heap}`];
}
