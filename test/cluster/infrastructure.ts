/** What a distributed installation takes by reference: PostgreSQL, Kafka and an object store, on this machine, where pods reach it. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startS3 } from '@assay/blobs/testing';
import { startBroker } from '../parts/broker.ts';
import { freePorts } from '../parts/ports.ts';
import { startPostgres } from '../parts/postgres.ts';

/** This machine, as pods see it (test/cluster/cluster). */
export const HOST = '10.231.0.1';

const BUCKET = 'assay';
const SERVICES = ['registry', 'training', 'batch', 'monitoring'] as const;

export interface Infrastructure extends AsyncDisposable {
  /** `10.231.0.1:9092` */
  readonly broker: string;
  readonly postgresPort: number;
  /** By service, each with a schema of its own. */
  readonly databaseUrls: Readonly<Record<(typeof SERVICES)[number], string>>;
  readonly blobsUrl: string;
  readonly blobsPort: number;
  readonly blobCredentials: Readonly<Record<string, string>>;
}

/** Starts all three, empty. The cluster is up: its link to this machine has the address. */
export async function startInfrastructure(): Promise<Infrastructure> {
  await using opened = new AsyncDisposableStack();
  const postgres = opened.use(await startPostgres({ listenOn: `127.0.0.1,${HOST}` }));
  const clientPort = await freePorts(1);
  const broker = opened.use(
    await startBroker({
      settings: (port) => [
        // The tool that starts it asks on loopback; pods come by the other listener.
        `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${port + 1},PODS://${HOST}:${clientPort}`,
        'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PODS:PLAINTEXT',
        'inter.broker.listener.name=PLAINTEXT',
      ],
    }),
  );
  void broker;
  const s3 = opened.use(await startS3(await mkdtemp(join(tmpdir(), 'assay-s3-')), BUCKET, HOST));
  const url = (service: string): string => postgres.url(service).replace('127.0.0.1', HOST);
  const infrastructure = {
    broker: `${HOST}:${clientPort}`,
    postgresPort: postgres.port,
    databaseUrls: {
      registry: url('registry'),
      training: url('training'),
      batch: url('batch'),
      monitoring: url('monitoring'),
    },
    blobsUrl: `s3://${BUCKET}/installation?endpoint=${s3.endpoint}&region=us-east-1`,
    blobsPort: Number(new URL(s3.endpoint).port),
    blobCredentials: s3.credentials,
  };
  const all = opened.move();
  return { ...infrastructure, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
