import { expect, test } from 'vitest';
import { editGraph } from '../edit-graph.ts';
import { GraphBuilder } from '../graph-builder.ts';
import { inspect } from '../inspect.ts';
import { writeModel } from '../model.ts';
import { readModel } from '../read-model.ts';
import { nodeOf } from '../testing/foreign-models.ts';
import { type ChainLink, chainIn, writeChain } from './chain.ts';

function graphOf(takes: string, gives: string, domain = ''): ChainLink {
  const graph = new GraphBuilder();
  graph.input(takes, 'float32', ['N', 1]);
  graph.node('Abs', [takes], { outputs: [gives], domain });
  graph.output(gives, 'float32', ['N', 1]);
  return { onnx: graph.build(), takes: [takes], gives: [gives] };
}

const tensor = (name: string) => ({ name, elementType: 'float32' as const, dims: ['N', 1] });
const chain = (...links: ChainLink[]) => writeChain([tensor('x')], links, [tensor('y')]);
const problems = (bytes: Uint8Array) => inspect(readModel(bytes)).problems;

test('a chain comes back as it was written, and describes its inputs and outputs as any model does', () => {
  const links = [graphOf('x', 'h'), graphOf('h', 'y')];
  const bytes = chain(...links);
  expect(chainIn(bytes)).toEqual(links);
  expect(inspect(readModel(bytes))).toMatchObject({ inputs: [tensor('x')], outputs: [tensor('y')], problems: [] });
  expect(chainIn(links[0]?.onnx ?? new Uint8Array())).toBeUndefined();
});

test('a graph of a chain is held to what any graph is held to', () => {
  expect(problems(chain(graphOf('x', 'y', 'foreign')))).toEqual([
    expect.stringContaining('graph 0 of the chain: operator "foreign.Abs" is not part of ONNX Runtime'),
  ]);
  expect(problems(chain({ onnx: chain(graphOf('x', 'y')), takes: ['x'], gives: ['y'] }))).toEqual([
    'graph 0 of the chain: it is a chain itself',
  ]);
  expect(problems(chain({ onnx: Uint8Array.of(1, 2, 3), takes: ['x'], gives: ['y'] }))).toEqual([
    expect.stringContaining('is not valid protobuf'),
  ]);
});

test('a chain that goes round, or holds nodes beside graphs, is refused', () => {
  const model = readModel(chain(graphOf('x', 'y')));
  const beside = editGraph(model, { append: [nodeOf({ opType: 'Neg', inputs: ['y'], outputs: ['z'] })] });
  expect(problems(writeModel(beside))).toEqual(['the chain of graphs is not valid: node 1 is no graph']);
  const ordered = readModel(chain(graphOf('x', 'h'), graphOf('h', 'y')));
  const [first, second] = ordered.graph.nodes.map(({ field }) => field);
  if (first === undefined || second === undefined) throw new Error('the chain has two graphs');
  const turned = editGraph(ordered, {
    replace: new Map([
      [first, [second]],
      [second, [first]],
    ]),
  });
  expect(problems(writeModel(turned))).toEqual([
    'the chain of graphs is not valid: graph 0 takes "h", which nothing before it gives',
  ]);
});
