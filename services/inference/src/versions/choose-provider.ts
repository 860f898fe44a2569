/** Where versions run: as the settings ask, or on the CPU where they allow it and say so wherever an operator looks. */
import { AssayError } from '@assay/contracts';
import type { Logger } from '@assay/runtime';
import { type ExecutionProvider, type GpuProvider, probeProvider } from '@assay/scoring';

export interface ProviderChoice {
  readonly provider: ExecutionProvider;
  /** Whether what the provider lacks may run on the CPU. */
  readonly fallback: boolean;
  /** Why it is the CPU where a GPU was asked for. */
  readonly problem?: string;
}

export interface ProviderSettings {
  readonly provider: ExecutionProvider;
  readonly providerFallback: boolean;
}

/**
 * Tries the provider that is asked for.
 * @throws AssayError FAILED_PRECONDITION with what is missing, when it cannot be used and the CPU is not allowed instead
 */
export async function chooseProvider(
  { provider, providerFallback }: ProviderSettings,
  log: Pick<Logger, 'warn'>,
  probe: (provider: GpuProvider) => Promise<void> = probeProvider,
): Promise<ProviderChoice> {
  if (provider === 'cpu') return { provider, fallback: false };
  try {
    await probe(provider);
    return { provider, fallback: providerFallback };
  } catch (thrown) {
    const { code, message } = AssayError.from(thrown);
    if (!providerFallback) {
      const advice =
        'Use an image that has it, on a node with a GPU; or allow the CPU: ASSAY_INFERENCE_PROVIDER_FALLBACK=true';
      throw new AssayError(code, `${message}. ${advice}`, { cause: thrown });
    }
    log.warn({ provider, problem: message }, 'versions run on the CPU, though a GPU was asked for');
    return { provider: 'cpu', fallback: false, problem: `versions run on the CPU: ${message}` };
  }
}
