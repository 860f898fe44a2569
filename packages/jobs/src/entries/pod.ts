/**
 * The program of a job's container: `node pod.ts ENTRY`. It takes the spec and the environment of the launch from mounted
 * files, runs the entry's `run`, and leaves word of how it ended as the container's termination message (docs/jobs.md).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AssayError, whyUnreadable } from '@assay/contracts';
import { runEntryProcess } from '../entry-process.ts';
import { writeLaunchWord } from '../launch-word.ts';
import { LAUNCH_FILES, POD_ENVIRONMENT, POD_FOLDERS } from '../pod-contract.ts';

const [entryHref = ''] = process.argv.slice(2);
const {
  [POD_ENVIRONMENT.id]: id = '',
  [POD_ENVIRONMENT.launchDir]: launchDir = POD_FOLDERS.launch,
  [POD_ENVIRONMENT.workDir]: workDir = POD_FOLDERS.work,
  [POD_ENVIRONMENT.wordFile]: wordFile = POD_FOLDERS.word,
} = process.env;

await runEntryProcess({
  entryHref,
  async prepare() {
    const spec: unknown = readJson(LAUNCH_FILES.spec);
    const environment = readJson(LAUNCH_FILES.environment);
    // Set here and not in the pod's manifest, which more may read than this job's token is for.
    for (const [name, value] of Object.entries(Object(environment))) process.env[name] = String(value);
    const dir = join(workDir, 'job');
    mkdirSync(dir, { recursive: true });
    return { id, spec, dir };
  },
  leaveWord(exit) {
    try {
      writeFileSync(wordFile, writeLaunchWord(exit));
    } catch (error) {
      // The exit code says it too, in fewer words.
      process.stderr.write(
        `${wordFile} cannot be written: ${error instanceof Error ? error.message : String(error)}\n`,
      );
    }
  },
});

function readJson(name: string): unknown {
  const path = join(launchDir, name);
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new AssayError(
      'INVALID_ARGUMENT',
      `the job is given nothing that can be read: ${whyUnreadable(error, path)}`,
      {
        cause: error,
      },
    );
  }
}
