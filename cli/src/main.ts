/** The `assay` process: arguments, standard streams, Ctrl-C, exit code. */
import { enableCompileCache } from 'node:module';

// Before anything else is loaded: the second start of the command compiles nothing.
enableCompileCache();
const { runCli } = await import('./run-cli.ts');
const { EXIT_CODES } = await import('@assay/runtime');

// The launcher (bin/assay.mjs) went away without a word: what it stood for ends, too.
if (process.channel !== undefined && process.channel !== null) {
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}

// Waits end at the first Ctrl-C; what does not listen to that ends at the second.
const interrupted = new AbortController();
process.on('SIGINT', () => {
  if (interrupted.signal.aborted) process.exit(EXIT_CODES.interrupted.code);
  interrupted.abort();
});
process.stderr.on('error', () => undefined); // nobody is there to be told
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_CODES.ok.code); // `assay models | head -1`
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  env: process.env,
  cwd: process.cwd(),
  async readStdin() {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk);
    return Buffer.concat(chunks).toString('utf8');
  },
  signal: interrupted.signal,
  ...(process.stderr.isTTY ? { terminal: { columns: process.stderr.columns } } : {}),
});
