/** `assay up`: the standalone process in the foreground, with words for the person in front of it. */
import { join, resolve } from 'node:path';
import { batchConfig } from '@assay/batch';
import { inferenceConfig } from '@assay/inference';
import { type KafkaConfig, kafkaConfig, kafkaSettings } from '@assay/kafka';
import { monitoringConfig } from '@assay/monitoring';
import { registryConfig } from '@assay/registry';
import { ASSAY_VERSION, createLogger, type LogLevel, loadConfigs, runMain } from '@assay/runtime';
import { trainingConfig } from '@assay/training';
import { standaloneConfig } from './config.ts';
import { findExample, isExampleDue, trainExample } from './example.ts';
import type { CallableServices } from './keys.ts';
import { curlLine, findSample, untilServed } from './sample.ts';
import { createStandalone, type StandaloneConfigs, type StandaloneServices } from './standalone.ts';

export interface UpFlags {
  /** Once ready, one line of JSON on standard output, as in `run.json`; words for people go to standard error. */
  readonly json?: boolean;
  readonly dataDir?: string;
  readonly trainExample?: boolean;
  readonly keys?: boolean;
  readonly registryPort?: number;
  readonly inferencePort?: number;
  readonly trainingPort?: number;
  readonly batchPort?: number;
  readonly monitoringPort?: number;
}

/** Runs until SIGTERM or SIGINT, then drains and ends the process. Words go to standard output, logs to standard error. */
export function up(flags: UpFlags, env: Readonly<Record<string, string | undefined>>): Promise<never> {
  const stream = flags.json ? process.stderr : process.stdout;
  const write = (text: string): void => void stream.write(text);
  return runMain(
    async (signal, { allowStop }) => {
      const startedMs = performance.now();
      let isReady = false;
      const configs = load(flags, env);
      const { dataDir } = configs.standalone;
      const { registry, monitoring, inference, training, batch, kafka } = configs;
      allowStop(registry, monitoring, inference, training, batch);
      write(`Assay ${ASSAY_VERSION}, data in ${resolve(dataDir)}\n`);
      const standalone = await createStandalone(configs, {
        report: (text) => write(`${text}\n`),
        ...(kafka.brokers.length === 0 ? {} : { kafka: kafkaSettings(kafka, 'assay-inference') }),
        log: (service) =>
          createLogger({
            service,
            level: configs.registry.logLevel,
            destination: { write: (line: string) => void process.stderr.write(line) },
          }),
        async prepare(addresses, stopping, keys) {
          const ending = AbortSignal.any([signal, stopping]);
          const services = { ...addresses, key: keys?.admin };
          write(addressLines(services));
          if (keys !== undefined) write(keysLines(keys.dir));
          const example = configs.standalone.trainExample ? findExample() : undefined;
          if (example !== undefined && (await isExampleDue(example, services, ending))) {
            const columns = stream.isTTY ? { columns: stream.columns } : {};
            await trainExample(example, services, { write, ...columns }, ending);
          }
          const keyFile = keys === undefined ? undefined : adminKeyFile(keys.dir);
          write(await scoreLines(services, keyFile, ending));
          write(`Ready in ${((performance.now() - startedMs) / 1000).toFixed(1)} s. Ctrl-C stops.\n`);
          isReady = true;
        },
      });
      signal.addEventListener('abort', () => {
        if (isReady) write('Stopping: what was begun is finished first.\n');
      });
      return standalone;
    },
    {
      onStarted({ addresses }) {
        if (!flags.json) return;
        const services = Object.fromEntries(Object.entries(addresses).map(([name, http]) => [name, { http }]));
        process.stdout.write(`${JSON.stringify({ pid: process.pid, version: ASSAY_VERSION, services })}\n`);
      },
    },
  );
}

interface UpConfigs extends StandaloneConfigs {
  readonly kafka: KafkaConfig;
}

const DEFINITIONS = [
  standaloneConfig,
  registryConfig,
  trainingConfig,
  batchConfig,
  inferenceConfig,
  monitoringConfig,
  kafkaConfig,
] as const;

function load(flags: UpFlags, env: Readonly<Record<string, string | undefined>>): UpConfigs {
  // On a terminal the lines for the person should not drown in the log; whoever sets a level gets it.
  const isQuiet = process.stderr.isTTY && !env.ASSAY_LOG_LEVEL && !env.ASSAY_CONFIG_FILE;
  const common: { logLevel?: LogLevel } = isQuiet ? { logLevel: 'warn' } : {};
  return loadConfigs(DEFINITIONS, {
    env,
    flags: {
      standalone: given({ dataDir: flags.dataDir, trainExample: flags.trainExample, keys: flags.keys }),
      registry: given({ ...common, port: flags.registryPort }),
      training: given({ ...common, port: flags.trainingPort }),
      batch: given({ ...common, port: flags.batchPort }),
      inference: given({ ...common, port: flags.inferencePort }),
      monitoring: given({ ...common, port: flags.monitoringPort }),
    },
  });
}

function given(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function adminKeyFile(dir: string): string {
  return resolve(join(dir, 'admin'));
}

function keysLines(dir: string): string {
  return `Calls need an API key. The administrator's is in ${adminKeyFile(dir)}; assay keys create makes others.\n`;
}

function addressLines({ registry, inference, training, batch, monitoring }: StandaloneServices): string {
  const lines = { registry, inference, training, batch, monitoring };
  return Object.entries(lines)
    .map(([name, url]) => `  ${name.padEnd(10)} ${url}\n`)
    .join('');
}

/** Waits until the sample is served, so that the line works when it is printed. */
async function scoreLines(
  services: CallableServices,
  keyFile: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const sample = await findSample(services, signal);
  if (sample === undefined) {
    return 'There is nothing to score yet: assay train SPEC, or assay register NAME FILE.onnx --alias champion\n';
  }
  const problem = await untilServed(sample.endpoint, services, signal);
  if (problem !== undefined) return `${sample.endpoint} is not served: ${problem}\n`;
  return `Score with:\n  ${curlLine(sample, services.inference, keyFile)}\n`;
}
