/** For the tests of this service: the same service twice, with the lane and without, which must answer alike. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { type Answer, type Flags, type InferenceUnderTest, serveStatic } from './inference-under-test.ts';
import type { StaticModel } from './routing/static-source.ts';

/** Answers are those of the service with the lane, once they were found equal to those of the one without. */
export async function serveBothWays(
  dir: string,
  models: readonly StaticModel[],
  flags: Flags = {},
): Promise<InferenceUnderTest> {
  const lane = await serveStatic(dir, models, { ...flags, lane: true });
  const plain = await serveStatic(`${dir}-plain`, models, { ...flags, lane: false });
  const both = async (call: (inference: InferenceUnderTest) => Promise<Answer>): Promise<Answer> => {
    const [ours, theirs] = await Promise.all([call(lane), call(plain)]);
    deepStrictEqual(comparable(ours), comparable(theirs));
    return ours;
  };
  return {
    url: lane.url,
    service: lane.service,
    post: (path, body, headers) => both((inference) => inference.post(path, body, headers)),
    // What a service measures is its own.
    get: (path) => (path === '/metrics' ? lane.get(path) : both((inference) => inference.get(path))),
    async [Symbol.asyncDispose]() {
      await Promise.all([lane[Symbol.asyncDispose](), plain[Symbol.asyncDispose]()]);
    },
  };
}

/** Without what differs from call to call: ids, the time, and what was measured at loading. */
function comparable({ status, headers, bytes }: Answer) {
  const withoutIds = (value: string) =>
    value.replace(/(req|prd)_[0-9a-z]{26}/g, '$1_*').replace(/"measured":\{[^}]*\}/g, '"measured":*');
  if (!headers.has('content-encoding')) strictEqual(Number(headers.get('content-length')), bytes.length);
  const compared = [...headers]
    .filter(([name]) => name !== 'date' && name !== 'content-length')
    .map(([name, value]) => [name, withoutIds(value)]);
  return { status, headers: Object.fromEntries(compared), text: withoutIds(bytes.toString('latin1')) };
}
