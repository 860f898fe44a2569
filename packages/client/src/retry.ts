/** When a failed call is made again: a bounded number of times, after a jittered wait, within a budget of the client. */

export interface RetryPolicy {
  /** Attempts in all, the first included; 1 switches retries off. Default 4. */
  readonly maxAttempts: number;
  /** Upper bound of the wait before the second attempt; doubles with each further one. Default 100. */
  readonly initialDelayMs: number;
  /** Upper bound of any wait that the server did not ask for. Default 5,000. */
  readonly maxDelayMs: number;
}

export const DEFAULT_RETRY_POLICY: RetryPolicy = { maxAttempts: 4, initialDelayMs: 100, maxDelayMs: 5000 };

/**
 * How long to wait after the `attempt`-th attempt (from 1) failed: "full jitter", anything up to the exponential bound,
 * so that clients that failed together do not come back together. What the server asked for is the least.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function retryDelayMs(policy: RetryPolicy, attempt: number, retryAfterMs: number | undefined): number {
  const bound = Math.min(policy.maxDelayMs, policy.initialDelayMs * 2 ** (attempt - 1));
  const jittered = Math.random() * bound;
  return retryAfterMs === undefined ? jittered : retryAfterMs + jittered;
}

/**
 * The retry budget of a client, as gRPC's retry throttling: each failed attempt costs a token, each success gives back a
 * tenth, and below half of the tokens nothing is retried. So a server that is down gets its first tries, not a
 * multiple of them. https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs
 */
export interface RetryBudget {
  succeeded(): void;
  /** Counts the failure; whether a retry is within the budget. */
  failed(): boolean;
}

export function createRetryBudget(maxTokens = 20): RetryBudget {
  let tokens = maxTokens;
  return {
    succeeded() {
      tokens = Math.min(maxTokens, tokens + 0.1);
    },
    failed() {
      tokens = Math.max(0, tokens - 1);
      return tokens > maxTokens / 2;
    },
  };
}
