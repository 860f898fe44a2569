/** What a spec asks for, as launchers take it. */
import type { JobResources } from '@assay/contracts';
import type { LaunchResources } from '@assay/jobs';

/** https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/ */
const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** @param resources as their schema lets them through */
export function launchResources({ gpus, cpu, memory }: JobResources): LaunchResources {
  return {
    ...(gpus === undefined ? {} : { gpus }),
    ...(cpu === undefined ? {} : { cpus: cpu }),
    ...(memory === undefined ? {} : { memoryBytes: bytesOf(memory) }),
  };
}

function bytesOf(memory: string): number {
  const [, number = '', unit = ''] = /^([0-9.]+)([A-Za-z]*)$/.exec(memory) ?? [];
  return Math.ceil(Number(number) * (UNITS[unit] ?? 1));
}
