import { expect, test } from 'vitest';
import type { Step } from './kind.ts';
import { modelKind } from './kinds/model.ts';
import { planText } from './plan-text.ts';

function step(more: Partial<Step>): Step {
  const nothing = { before: undefined, after: undefined, run: async () => undefined };
  return { action: 'make', kind: modelKind, name: 'm', place: 'p/m.yaml:1', ...nothing, ...more };
}

test('a plan shows each change as a diff of its document, by key, and counts', () => {
  const tags = Object.fromEntries(Array.from('abcdefgh', (key) => [key, key]));
  const steps = [
    step({ after: {} }),
    step({
      action: 'change',
      before: { tags, description: 'x' },
      after: { description: 'x', tags: { ...tags, e: 'E' } },
    }),
    step({ action: 'delete', before: { description: 'two\nlines' } }),
  ];
  expect(planText({ steps, unchanged: 1 })).toBe(`+ Model m  (p/m.yaml:1)

~ Model m  (p/m.yaml:1)
     …
       b: b
       c: c
       d: d
-      e: e
+      e: E
       f: f
       g: g
       h: h

- Model m  (p/m.yaml:1)
-    description: |-
-      two
-      lines

1 to make, 1 to change, 1 to delete, 1 as it is already
`);
});

test('a plan without a change says so in a line', () => {
  expect(planText({ steps: [], unchanged: 3 })).toBe('0 to make, 0 to change, 0 to delete, 3 as they are already\n');
});
