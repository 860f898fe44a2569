/** `make bench`: scoring, training, batches and the registry beside their baselines, in one run. Absolute numbers depend on the machine; ratios count. */
import { cpus } from 'node:os';
import { startAssay } from '../parts/assay.ts';
import { benchBatch } from './batch.ts';
import { benchEnsembles } from './ensembles.ts';
import { benchGrpc } from './grpc.ts';
import { benchLane } from './lane.ts';
import { benchLaneDeployed } from './lane-deployed.ts';
import { benchOverload } from './overload.ts';
import { benchRegistryBesideMlflow } from './registry-mlflow.ts';
import { benchRegistryScale } from './registry-scale.ts';
import { benchResponseCache } from './response-cache.ts';
import { benchScoring, FLIGHT } from './scoring.ts';
import { benchTraining } from './training.ts';

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}`);
await using assay = await startAssay();
const { inference, registry, training } = assay.run.services;
await benchScoring(inference.http, assay.run.pid, 'flight-delay', FLIGHT);
await benchTraining(training.http);
await benchBatch(registry.http);
await benchLane();
await benchLaneDeployed();
await benchResponseCache();
await benchOverload(5);
await benchGrpc();
await benchEnsembles();
await benchRegistryScale(0.1);
await benchRegistryBesideMlflow();
