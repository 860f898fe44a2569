/** Property tests repeat the same cases at each run, so that a red one is the change's; `PROPERTY_SEED` tries others. */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env.PROPERTY_SEED ?? 20260101) });
