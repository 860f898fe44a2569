/** For a test: backs up, and is killed when it asks for the second blob. */
import { openBlobStore } from '@assay/blobs';
import { writeBackup } from './write-backup.ts';

const [databaseUrl = '', blobsDir = '', target = ''] = process.argv.slice(2);
const blobs = await openBlobStore(`file:${blobsDir}`);
let asked = 0;
const { signal } = new AbortController();
await writeBackup(
  {
    databaseUrl,
    blobs: {
      ...blobs,
      async get(key, options) {
        asked += 1;
        if (asked === 2) process.kill(process.pid, 'SIGKILL');
        return blobs.get(key, options);
      },
    },
  },
  target,
  signal,
);
