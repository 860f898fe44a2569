/** For tests: a registry in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { entryUrl, nodeArguments } from '@assay/runtime';

export interface RegistryProcess extends AsyncDisposable {
  readonly url: string;
}

export async function startRegistryProcess(dataDir: string): Promise<RegistryProcess> {
  const child = spawn(
    process.execPath,
    [...nodeArguments(), fileURLToPath(entryUrl('services/registry', 'registry'))],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ASSAY_DATA_DIR: dataDir, ASSAY_LOG_LEVEL: 'silent', ASSAY_REGISTRY_PORT: '0' },
    },
  );
  const ended = once(child, 'close');
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', () => reject(new Error('the registry ended before it listened')));
  });
  return {
    url: /http:\S+/.exec(line)?.[0] ?? '',
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
