/**
 * The program of every job's process: `node child.ts FOLDER ENTRY`. It makes sure that the process ends with its launcher,
 * runs the entry's `run`, and writes down how it ended.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { runEntryProcess } from '../entry-process.ts';
import { files, writeExit } from '../job-folder.ts';
import { endWithParent } from '../parent-watch.ts';

const [dir = '', entryHref = ''] = process.argv.slice(2);

await runEntryProcess({
  entryHref,
  async prepare() {
    await endWithParent();
    const { spec, work } = files(dir);
    mkdirSync(work, { recursive: true });
    return { id: basename(dir), spec: JSON.parse(readFileSync(spec, 'utf8')), dir: work };
  },
  leaveWord: (exit) => writeExit(dir, exit),
});
