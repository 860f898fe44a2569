/** `assay up`: the standalone process in the foreground, with words for the person in front of it. */
import { resolve } from 'node:path';
import { inferenceConfig } from '@assay/inference';
import { registryConfig } from '@assay/registry';
import { ASSAY_VERSION, createLogger, type LogLevel, loadConfigs, runMain } from '@assay/runtime';
import { trainingConfig } from '@assay/training';
import { standaloneConfig } from './config.ts';
import { findExample, isExampleDue, trainExample } from './example.ts';
import { curlLine, findSample, untilServed } from './sample.ts';
import { createStandalone, type StandaloneConfigs, type StandaloneServices } from './standalone.ts';

export interface UpFlags {
  /** Once ready, one line of JSON on standard output, as in `run.json`; words for people go to standard error. */
  readonly json?: boolean;
  readonly dataDir?: string;
  readonly trainExample?: boolean;
  readonly registryPort?: number;
  readonly inferencePort?: number;
  readonly trainingPort?: number;
}

/** Runs until SIGTERM or SIGINT, then drains and ends the process. Words go to standard output, logs to standard error. */
export function up(flags: UpFlags, env: Readonly<Record<string, string | undefined>>): Promise<never> {
  const stream = flags.json ? process.stderr : process.stdout;
  const write = (text: string): void => void stream.write(text);
  return runMain(
    async (signal) => {
      const startedMs = performance.now();
      let isReady = false;
      const configs = load(flags, env);
      const { dataDir } = configs.standalone;
      write(`Assay ${ASSAY_VERSION}, data in ${resolve(dataDir)}\n`);
      const standalone = await createStandalone(configs, {
        report: (text) => write(`${text}\n`),
        log: (service) =>
          createLogger({
            service,
            level: configs.registry.logLevel,
            destination: { write: (line: string) => void process.stderr.write(line) },
          }),
        async prepare(services, stopping) {
          const ending = AbortSignal.any([signal, stopping]);
          write(addressLines(services));
          const example = configs.standalone.trainExample ? findExample() : undefined;
          if (example !== undefined && (await isExampleDue(example, services, ending))) {
            const columns = stream.isTTY ? { columns: stream.columns } : {};
            await trainExample(example, services, { write, ...columns }, ending);
          }
          write(await scoreLines(services, ending));
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

function load(flags: UpFlags, env: Readonly<Record<string, string | undefined>>): StandaloneConfigs {
  // On a terminal the lines for the person should not drown in the log; whoever sets a level gets it.
  const isQuiet = process.stderr.isTTY && !env.ASSAY_LOG_LEVEL && !env.ASSAY_CONFIG_FILE;
  const common: { logLevel?: LogLevel } = isQuiet ? { logLevel: 'warn' } : {};
  return loadConfigs([standaloneConfig, registryConfig, trainingConfig, inferenceConfig], {
    env,
    flags: {
      standalone: given({ dataDir: flags.dataDir, trainExample: flags.trainExample }),
      registry: given({ ...common, port: flags.registryPort }),
      training: given({ ...common, port: flags.trainingPort }),
      inference: given({ ...common, port: flags.inferencePort }),
    },
  });
}

function given(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function addressLines({ registry, inference, training }: StandaloneServices): string {
  return `  registry   ${registry}\n  inference  ${inference}\n  training   ${training}\n`;
}

/** Waits until the sample is served, so that the line works when it is printed. */
async function scoreLines({ registry, inference }: StandaloneServices, signal: AbortSignal): Promise<string> {
  const sample = await findSample(registry, signal);
  if (sample === undefined) {
    return 'There is nothing to score yet: assay train SPEC, or assay register NAME FILE.onnx --alias champion\n';
  }
  const problem = await untilServed(sample.endpoint, inference, signal);
  if (problem !== undefined) return `${sample.endpoint} is not served: ${problem}\n`;
  return `Score with:\n  ${curlLine(sample, inference)}\n`;
}
