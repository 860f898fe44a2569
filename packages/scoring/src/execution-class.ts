/** Which bits a record gets, besides package and record: where and how the graph is run. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { ExecutionClass, ExecutionProvider, GraphOptimization } from './interfaces.ts';
import { RUNTIME_VERSION } from './session.ts';

/** The extensions by which ONNX Runtime's kernels (MLAS, Eigen) choose their code; x86 and ARM names of /proc/cpuinfo. */
const RELEVANT_FEATURES = [
  'sse4_1',
  'avx',
  'f16c',
  'fma',
  'avx2',
  'avx_vnni',
  'avx512f',
  'avx512bw',
  'avx512dq',
  'avx512vl',
  'avx512_vnni',
  'avx512_bf16',
  'amx_tile',
  'asimd',
  'asimddp',
  'i8mm',
  'bf16',
  'sve',
];

let features: readonly string[] | undefined;

/** Of this machine. Where the system does not list them, the CPU's model stands for them. */
function cpuFeatures(): readonly string[] {
  if (features === undefined) {
    let listed: Set<string> | undefined;
    try {
      const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
      listed = line?.[1] === undefined ? undefined : new Set(line[1].split(' '));
    } catch {
      // no /proc here
    }
    features =
      listed === undefined ? [cpus()[0]?.model ?? 'unknown'] : RELEVANT_FEATURES.filter((name) => listed.has(name));
  }
  return features;
}

export function executionClass(options: {
  threads: number;
  graphOptimization: GraphOptimization;
  provider: ExecutionProvider;
}): ExecutionClass {
  const described = {
    runtime: `onnxruntime-node ${RUNTIME_VERSION}`,
    provider: options.provider,
    graphOptimization: options.graphOptimization,
    threads: options.threads,
    platform: `${process.platform}-${process.arch}`,
    cpuFeatures: cpuFeatures(),
  };
  return { ...described, id: createHash('sha256').update(JSON.stringify(described)).digest('hex').slice(0, 16) };
}
