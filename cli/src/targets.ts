/** Where the services are: as the command line says, else as the run file of the data folder says. */
import { resolve } from 'node:path';
import { type ClientOptions, readRunFile } from '@assay/client';
import { AssayError } from '@assay/contracts';
import { childTrace, traceOfEnvironment } from '@assay/runtime';
import { apiKeyOf } from './api-key.ts';
import type { Io } from './io.ts';

export interface TargetOptions {
  readonly registry?: string;
  readonly inference?: string;
  readonly training?: string;
  readonly monitoring?: string;
  readonly batch?: string;
  readonly dataDir?: string;
  readonly json?: boolean;
}

/** A service that commands call. */
type TargetService = 'registry' | 'inference' | 'training' | 'monitoring' | 'batch';

export const DEFAULT_DATA_DIR = './.assay';

export function dataDirOf(io: Io, options: TargetOptions): string {
  const fromEnvironment = io.env.ASSAY_DATA_DIR === '' ? undefined : io.env.ASSAY_DATA_DIR;
  return resolve(io.cwd, options.dataDir ?? fromEnvironment ?? DEFAULT_DATA_DIR);
}

/** The address of a service. UNAVAILABLE, with what to do, where neither the command line nor a run file tells it. */
export async function urlOf(service: TargetService, io: Io, options: TargetOptions): Promise<string> {
  const given = options[service];
  if (given !== undefined) return given;
  const dataDir = dataDirOf(io, options);
  const { services } = await readRunFile(dataDir);
  const url = services[service]?.http;
  if (url !== undefined) return url;
  throw new AssayError(
    'UNAVAILABLE',
    `the Assay that runs on ${dataDir} has no ${service}; give its address: --${service} URL`,
  );
}

/** Address and key of a service, for its client; and the trace that the command is part of, if its environment says so. */
export async function peerOf(
  service: TargetService,
  io: Io,
  options: TargetOptions,
): Promise<Pick<ClientOptions, 'url' | 'bearerToken' | 'trace'>> {
  const url = await urlOf(service, io, options);
  const trace = traceOfEnvironment(io.env);
  return {
    url,
    bearerToken: await apiKeyOf(io, options[service] === undefined ? dataDirOf(io, options) : undefined),
    ...(trace === undefined ? {} : { trace: () => childTrace(trace) }),
  };
}
