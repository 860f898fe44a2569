/** For tests: npm's azurite, Azure Blob Storage on loopback, in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { BlobServiceClient } from '@azure/storage-blob';

/** The account that every azurite has; its key is public. */
const ACCOUNT = 'devstoreaccount1';
const KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

export interface AzureServer extends AsyncDisposable {
  /** For AZURE_STORAGE_CONNECTION_STRING. */
  readonly connectionString: string;
}

/** Starts a server with one empty container. */
export async function startAzure(container: string): Promise<AzureServer> {
  const program = createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js');
  const args = ['--blobHost', '127.0.0.1', '--blobPort', '0', '--inMemoryPersistence', '--skipApiVersionCheck'];
  const child = spawn(process.execPath, [program, ...args, '--disableTelemetry'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  const listening = Promise.withResolvers<string>();
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
    const url = /successfully listens on (http:\S+)/.exec(printed)?.[1];
    if (url !== undefined) listening.resolve(url);
  });
  void closed.then(() => listening.reject(new Error(`azurite did not start:\n${printed}`)));
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await closed;
  };
  try {
    const url = await listening.promise;
    const connectionString = `DefaultEndpointsProtocol=http;AccountName=${ACCOUNT};AccountKey=${KEY};BlobEndpoint=${url}/${ACCOUNT};`;
    await BlobServiceClient.fromConnectionString(connectionString).createContainer(container);
    return { connectionString, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
