/** The way to the Kubernetes launcher, whose client library is loaded when it is chosen. */
import type { KubernetesLauncher, KubernetesLauncherOptions } from './kubernetes/launcher.ts';

export type { KubernetesLauncher, KubernetesLauncherOptions } from './kubernetes/launcher.ts';

/** @throws AssayError FAILED_PRECONDITION where nothing says where the cluster is */
export async function openKubernetesLauncher(options: KubernetesLauncherOptions): Promise<KubernetesLauncher> {
  const { kubernetesLauncher } = await import('./kubernetes/launcher.ts');
  return kubernetesLauncher(options);
}
