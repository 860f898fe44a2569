/** For the tests of this service: the same service with the lane, without, and with it over TLS, which must answer alike. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { type Answer, type Flags, type InferenceUnderTest, serveStatic } from './inference-under-test.ts';
import type { StaticModel } from './routing/static-source.ts';
import { openTls } from './tls-under-test.ts';

/** Answers are those of the service with the lane, once they were found equal to those of the others. */
export async function serveEveryWay(
  dir: string,
  models: readonly StaticModel[],
  flags: Flags = {},
): Promise<InferenceUnderTest> {
  const resources = new AsyncDisposableStack();
  const serve = async (way: string, more: Flags) =>
    resources.use(await serveStatic(`${dir}${way}`, models, { ...flags, ...more }));
  const tls = resources.use(await openTls());
  const lane = await serve('', { lane: true });
  const others = [await serve('-plain', { lane: false }), await serve('-tls', { lane: true, ...tls.flags })];
  const all = async (call: (inference: InferenceUnderTest) => Promise<Answer>): Promise<Answer> => {
    const [ours, ...theirs] = await Promise.all([call(lane), ...others.map(call)]);
    for (const each of theirs) deepStrictEqual(comparable(ours), comparable(each));
    return ours;
  };
  return {
    url: lane.url,
    service: lane.service,
    post: (path, body, headers) => all((inference) => inference.post(path, body, headers)),
    // What a service measures is its own.
    get: (path) => (path === '/metrics' ? lane.get(path) : all((inference) => inference.get(path))),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
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
