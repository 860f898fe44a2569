export type { HandoverReason, LaneAnswer, LaneRequest, LaneRoute } from './interfaces.ts';
export { addLane, type Lane, type LaneOptions } from './lane.ts';
