/** The inference service as a process of its own: the only place that touches environment, signals and exit codes. */
import { loadConfig, runMain } from '@assay/runtime';
import { inferenceConfig } from './config.ts';
import { createService } from './service.ts';

export function main(): Promise<never> {
  return runMain(async () => createService(loadConfig(inferenceConfig, { env: process.env })), {
    onStarted(service) {
      process.stdout.write(`inference listens on ${service.addresses.http}\n`);
    },
  });
}
