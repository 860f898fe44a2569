/** `assay serve`: model files at an endpoint each, without a registry. Loads the inference service and nothing else. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { encodeJson } from '@assay/client';
import { AssayError } from '@assay/contracts';
import { ASSAY_VERSION, createLogger, loadConfig, runMain, type Service } from '@assay/runtime';
import type { Io } from '../io.ts';

export interface ServeOptions {
  readonly http?: number;
  readonly grpcPort?: number;
  readonly host?: string;
  readonly json?: boolean;
}

interface NamedPath {
  readonly name?: string;
  readonly path: string;
}

/** Ends the process when it has stopped. */
export async function serve(io: Io, models: readonly string[], options: ServeOptions): Promise<never> {
  const named = models.map((text) => readModel(text, io.cwd));
  const { createService, createStaticModels, inferenceConfig } = await import('@assay/inference');
  return runMain(async (signal, { allowStop }): Promise<Service> => {
    const config = loadConfig(inferenceConfig, {
      env: withoutOthers(io.env),
      flags: {
        ...(options.http === undefined ? {} : { port: options.http }),
        ...(options.grpcPort === undefined ? {} : { grpcPort: options.grpcPort }),
        ...(options.host === undefined ? {} : { host: options.host }),
        // On a terminal the lines for the person should not drown in the log; whoever sets a level gets it.
        ...(io.terminal === undefined || io.env.ASSAY_LOG_LEVEL || io.env.ASSAY_CONFIG_FILE
          ? {}
          : { logLevel: 'warn' }),
      },
    });
    allowStop(config);
    const log = createLogger({ service: 'inference', level: config.logLevel, destination: { write: io.err } });
    const workDir = await mkdtemp(join(tmpdir(), 'assay-serve-'));
    const remove = (): Promise<void> => rm(workDir, { recursive: true, force: true });
    try {
      const source = await createStaticModels(named, { workDir, signal });
      const service = await createService({ ...config, cacheDir: workDir }, { models: source, log });
      const { endpoints } = await source.routing.next(undefined, signal);
      const names = endpoints.map(({ name }) => name);
      return {
        name: service.name,
        get addresses() {
          return service.addresses;
        },
        async start() {
          await service.start();
          io.out(readyText(service.addresses, names, options.json ?? false));
        },
        async close() {
          await service.close();
          await remove();
        },
      };
    } catch (error) {
      await remove();
      throw error;
    }
  });
}

/** `NAME=PATH` or `NAME=URL`, or a path whose name is taken from it. A path may hold a `=` after its first `/`. */
function readModel(text: string, cwd: string): NamedPath {
  const equals = text.indexOf('=');
  const slash = text.indexOf('/');
  if (equals === -1 || (slash !== -1 && slash < equals)) return { path: locate(text, cwd) };
  const [name, path] = [text.slice(0, equals), text.slice(equals + 1)];
  if (name === '' || path === '') {
    throw new AssayError('INVALID_ARGUMENT', `"${text}" is not NAME=FILE.onnx, NAME=FOLDER, NAME=URL or FOLDER`);
  }
  return { name, path: locate(path, cwd) };
}

function locate(text: string, cwd: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//.test(text) ? text : resolve(cwd, text);
}

/** What the standalone process reads besides inference is in the same environment, and no mistake. */
function withoutOthers(env: Io['env']): Io['env'] {
  const others = /^ASSAY_(DATA_DIR|API_KEY|STANDALONE_|REGISTRY_|TRAINING_|BATCH_|MONITORING_)/;
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !others.test(name) || name === 'ASSAY_REGISTRY_URL'),
  );
}

function readyText(
  { http = '', grpc }: Readonly<Record<string, string>>,
  names: readonly string[],
  json: boolean,
): string {
  if (json) return `${encodeJson({ version: ASSAY_VERSION, pid: process.pid, http, grpc, endpoints: names })}\n`;
  const lines = names.map((name) => `  ${http}/v1/endpoints/${name}/score\n  ${http}/v2/models/${name}/infer\n`);
  const more = grpc === undefined ? '' : `  gRPC: ${grpc}\n`;
  return `Assay ${ASSAY_VERSION} serves ${names.join(', ')}:\n${lines.join('')}${more}Ctrl-C stops.\n`;
}
