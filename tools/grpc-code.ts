/** The TypeScript of proto/, as buf and protoc-gen-es make it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { filesBelow } from './generated-files.ts';

const ROOT = join(import.meta.dirname, '..');
/** As proto/buf.gen.yaml says. */
export const GRPC_CODE = 'services/inference/src/grpc/gen';

/** Path below `GRPC_CODE` → content. */
export function grpcCode(): Map<string, string> {
  const dir = mkdtempSync(join(tmpdir(), 'assay-proto-'));
  try {
    // Its own folder instead of the repository's; what it writes is named from proto/.
    const args = ['generate', '--output', join(dir, 'proto')];
    execFileSync(join(ROOT, 'node_modules/.bin/buf'), args, { cwd: join(ROOT, 'proto'), stdio: 'inherit' });
    return filesBelow(join(dir, GRPC_CODE));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
