/**
 * The lane as it is deployed: over TLS, with connections that carry the requests of many callers, of which one in a hundred
 * or in ten is none of the lane's, and behind a proxy, which has such ones. The echo is reached in the same way.
 */
import { readFile } from 'node:fs/promises';
import { temporaryFolder } from '../parts/assay.ts';
import { makeCertificates } from '../parts/certificates.ts';
import type { RawTarget } from './closed-loop.ts';
import { benchRow, HEADINGS, SMALL, targetOf } from './lane.ts';
import { findNginx, startNginx } from './nginx.ts';
import { pinning, startPinned } from './pinned.ts';

const OTHERS = 100;
const MANY_OTHERS = 10;
const METADATA = '/v2/models/small';
const { connections } = SMALL;

export async function benchLaneDeployed(): Promise<void> {
  const pin = pinning();
  console.log(
    '\nThe lane over TLS and behind a proxy: ratios over a bare Fastify echo that is reached in the same way',
  );
  console.log(HEADINGS);
  await benchTls(pin);
  await benchMixed(pin);
  await benchBehindNginx(pin);
}

async function benchTls(pin: readonly string[]): Promise<void> {
  await using folder = await temporaryFolder();
  const { caFile, serverCertFile, serverKeyFile } = await makeCertificates(folder.path);
  const ca = await readFile(caFile);
  const files = `tls:${serverCertFile},${serverKeyFile}`;
  await using echo = await startPinned(pin, 'echo-server', serverCertFile, serverKeyFile);
  await using on = await startPinned(pin, 'lane-server', 'on', files);
  await using off = await startPinned(pin, 'lane-server', 'off', files);
  await benchRow({ name: `${SMALL.name}, TLS`, connections }, [
    { name: 'echo', ...echo, path: '/echo', body: SMALL.body, ca },
    { ...targetOf(on, 'lane', SMALL), ca },
    { ...targetOf(off, 'no lane', SMALL), ca },
  ]);
}

/** Requests of others among those of the lane, on the same connections. */
async function benchMixed(pin: readonly string[]): Promise<void> {
  await using echo = await startPinned(pin, 'echo-server');
  await using on = await startPinned(pin, 'lane-server', 'on');
  await using off = await startPinned(pin, 'lane-server', 'off');
  for (const oneOf of [OTHERS, MANY_OTHERS]) {
    const other = { path: METADATA, oneOf };
    await benchRow({ name: `${SMALL.name}, 1 of ${oneOf} others`, connections }, [
      { name: 'echo', ...echo, path: '/echo', body: SMALL.body, other: { path: '/echo', oneOf } },
      { ...targetOf(on, 'lane', SMALL), other },
      { ...targetOf(off, 'no lane', SMALL), other },
    ]);
  }
}

/** nginx shares the core of the server: what is measured is the pair. The CPU time is that of the server alone. */
async function benchBehindNginx(pin: readonly string[]): Promise<void> {
  const nginx = findNginx();
  if (nginx === undefined) {
    console.log('behind nginx: not measured, there is none on this machine (Debian: apt-get install nginx-light)');
    return;
  }
  await using echo = await startPinned(pin, 'echo-server');
  await using on = await startPinned(pin, 'lane-server', 'on');
  await using off = await startPinned(pin, 'lane-server', 'off');
  const { name } = SMALL;
  const row = async (label: string, { mixed, apart }: { readonly mixed: boolean; readonly apart: boolean }) => {
    const behind = async (target: RawTarget, other: string) => {
      const proxy = stack.use(await startNginx(nginx, target.url, { pin, apart: apart ? other : undefined }));
      return { ...target, url: proxy.url, ...(mixed ? { other: { path: other, oneOf: OTHERS } } : {}) };
    };
    await using stack = new AsyncDisposableStack();
    await benchRow({ name: label, connections }, [
      await behind({ name: 'echo', ...echo, path: '/echo', body: SMALL.body }, '/echo'),
      await behind(targetOf(on, 'lane', SMALL), METADATA),
      await behind(targetOf(off, 'no lane', SMALL), METADATA),
    ]);
  };
  await row(`${name}, nginx`, { mixed: false, apart: false });
  await row(`the same, 1 of ${OTHERS} others`, { mixed: true, apart: false });
  await row('these by own connections', { mixed: true, apart: true });
}

if (import.meta.main) await benchLaneDeployed();
