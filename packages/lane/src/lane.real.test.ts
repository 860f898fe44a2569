import { describeLane } from './conformance.ts';
import { startEcho } from './lane-under-test.ts';

describeLane(startEcho);
