/** Between the steps of a transaction, before the first, after the last; `committing`: while the commit is on its way. */
export const KILL_POINTS = ['begun', 'sent', 'offsets', 'committing', 'committed'] as const;
export type KillPoint = (typeof KILL_POINTS)[number];
