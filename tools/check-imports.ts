/** Fails when an import breaks the architecture: `node tools/check-imports.ts [ROOT]`. The rules: import-rules.ts. */
import { join } from 'node:path';
import { findViolations } from './import-rules.ts';

const root = process.argv[2] ?? join(import.meta.dirname, '..');
const violations = findViolations(root);
for (const { file, line, message } of violations) process.stderr.write(`${file}:${line}: ${message}\n`);
if (violations.length > 0) {
  process.stderr.write(
    `${violations.length} import${violations.length === 1 ? '' : 's'} break the rules of tools/import-rules.ts\n`,
  );
  process.exitCode = 1;
}
