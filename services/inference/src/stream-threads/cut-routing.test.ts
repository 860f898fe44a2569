import { expect, test } from 'vitest';
import { routedEndpoint, snapshot } from '../domain/fake-versions.ts';
import { cutRouting } from './cut-routing.ts';

test('a snapshot is cut to endpoints and the versions that they name', () => {
  const whole = snapshot(7, routedEndpoint('a', 1, [1, 2]), routedEndpoint('b', 1, [3]));
  const cut = cutRouting(whole, new Set(['b', 'unknown']));
  expect(cut.revision).toBe(7);
  expect(cut.endpoints.map(({ name }) => name)).toEqual(['b']);
  expect(cut.versions.map(({ id }) => id)).toEqual(
    cut.endpoints.flatMap(({ variants }) => variants.map((v) => v.versionId)),
  );
  expect(cutRouting(whole, new Set())).toMatchObject({ endpoints: [], versions: [] });
});
