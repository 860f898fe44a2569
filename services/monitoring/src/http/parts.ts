/** What the routes work with. They get a function that gives it, so that the API can be described without opening anything. */
import type { Replayer } from '../replay/replayer.ts';
import type { Predictions } from '../store/predictions.ts';

export interface Parts {
  readonly predictions: Predictions;
  readonly replayer: Replayer;
  /** Whether predictions come from the event bus, or why not. */
  readonly events: () => true | string;
}

export type PartsOf = () => Parts;
