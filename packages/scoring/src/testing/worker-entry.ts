/** Scores in a worker thread, for the test of scoring in several threads. */
import { parentPort, workerData } from 'node:worker_threads';
import { scoreMany } from './score-many.ts';

parentPort?.postMessage(await scoreMany(Number(workerData)));
