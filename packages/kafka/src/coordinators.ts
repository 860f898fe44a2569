/**
 * kafkajs asks who coordinates a transaction before every step of it, which is nearly half of the requests that exactly once
 * costs. Here the answer holds for a second, and no longer than the metadata of the cluster.
 */
import type { ClassOf } from './mixin.ts';

interface Asked {
  readonly groupId: string;
  readonly coordinatorType?: number;
}

/** kafkajs' own, as far as it is replaced. */
export interface Cluster {
  findGroupCoordinatorMetadata(asked: Asked): Promise<unknown>;
  refreshMetadata(): Promise<void>;
}

/** After a coordinator has moved, steps fail and are tried again for as long at most. */
const HOLDS_MS = 1000;
/** A cluster is asked for a few; a program that asks for very many begins again. */
const MOST = 100;

export function rememberCoordinators(Original: ClassOf<Cluster>): ClassOf<Cluster> {
  return class extends Original {
    readonly #found = new Map<string, { readonly answer: unknown; readonly atMs: number }>();

    override async findGroupCoordinatorMetadata(asked: Asked): Promise<unknown> {
      const key = `${asked.coordinatorType} ${asked.groupId}`;
      const held = this.#found.get(key);
      if (held !== undefined && performance.now() - held.atMs < HOLDS_MS) return held.answer;
      this.#found.delete(key);
      const answer = await super.findGroupCoordinatorMetadata(asked);
      if (this.#found.size >= MOST) this.#found.clear();
      this.#found.set(key, { answer, atMs: performance.now() });
      return answer;
    }

    override refreshMetadata(): Promise<void> {
      this.#found.clear();
      return super.refreshMetadata();
    }
  };
}
