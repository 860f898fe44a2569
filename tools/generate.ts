/**
 * What is written from the code: the reference documents and OpenAPI (docs/reference), and the TypeScript of proto/.
 * `node tools/generate.ts` writes them, with `--verify` it fails when what is there differs.
 */
import { join } from 'node:path';
import { describe as describeCli } from '@assay/cli';
import { accessMetrics, httpMetrics, tlsMetrics } from '@assay/http';
import { describeMetrics } from '@assay/runtime';
import { describe as describeStandalone } from '@assay/standalone';
import { describedServices } from './described-services.ts';
import { staleFiles, writeFiles } from './generated-files.ts';
import { GRPC_CODE, grpcCode } from './grpc-code.ts';
import { cliPage, configPage, errorsPage, metricsPage } from './reference-pages.ts';

const ROOT = join(import.meta.dirname, '..');
const REFERENCE = 'docs/reference';

/** Path below docs/reference → content. */
async function reference(): Promise<Map<string, string>> {
  const services = describedServices();
  const everywhere = [httpMetrics, accessMetrics, tlsMetrics].flatMap((each) => describeMetrics(each));
  const files = new Map([
    ['config.md', configPage([describeStandalone(), ...services])],
    ['metrics.md', metricsPage([{ name: 'Every service', metrics: everywhere }, ...services])],
    ['errors.md', errorsPage()],
    ['cli.md', cliPage(describeCli())],
  ]);
  for (const service of services) {
    files.set(`openapi/${service.name}.json`, `${JSON.stringify(await service.openapi(), null, 2)}\n`);
  }
  return files;
}

const folders = new Map([
  [REFERENCE, await reference()],
  [GRPC_CODE, grpcCode()],
]);
for (const [name, wanted] of folders) {
  const folder = join(ROOT, name);
  if (process.argv.includes('--verify')) {
    const stale = staleFiles(folder, wanted);
    for (const [path, why] of stale) process.stderr.write(`${name}/${path} ${why}\n`);
    if (stale.size > 0) {
      process.stderr.write('Run `make generate` and commit what it writes.\n');
      process.exitCode = 1;
    }
  } else {
    const updated = writeFiles(folder, wanted);
    process.stdout.write(updated.length === 0 ? `${name} is up to date\n` : `${name}: updated ${updated.join(', ')}\n`);
  }
}
