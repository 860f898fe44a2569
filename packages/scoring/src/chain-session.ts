/** Several graphs of one file as one session: run one after another, what one gives is what the next takes, in memory. */
import { AssayError } from '@assay/contracts';
import { type ChainLink, isServed, readModel, type ValueInfo } from '@assay/onnx';
import type { Feeds, Results, Session, TensorInfo } from './session.ts';

interface Link {
  readonly session: Session;
  readonly takes: readonly string[];
  readonly gives: readonly string[];
}

/**
 * Opens every graph of the chain. It is run as its graphs are: at once where they are.
 * @param model the file that holds them
 * @throws AssayError UNPROCESSABLE_MODEL
 */
export async function openChain(
  model: Uint8Array,
  chain: readonly ChainLink[],
  open: (onnx: Uint8Array) => Promise<Session>,
): Promise<Session> {
  const { graph } = readModel(model);
  const links: Link[] = [];
  const close = () => {
    for (const { session } of links) session.close();
  };
  try {
    for (const { onnx, takes, gives } of chain) links.push({ session: await open(onnx), takes, gives });
    const isSynchronous = links.every(({ session }) => session.isSynchronous);
    return {
      call: isSynchronous ? 'native' : 'public',
      isSynchronous,
      inputs: graph.inputs.map(infoOf),
      outputs: graph.outputs.map(infoOf),
      run: (feeds, outputNames) =>
        isSynchronous ? runNow(links, feeds, outputNames) : runLater(links, feeds, outputNames),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

function infoOf({ name, type }: ValueInfo): TensorInfo {
  if (type.kind !== 'tensor' || !isServed(type.elementType) || type.dims === undefined) {
    throw new AssayError('UNPROCESSABLE_MODEL', `the chain does not say what tensor ${JSON.stringify(name)} is`);
  }
  return { name, type: type.elementType, dims: type.dims.map((size) => size ?? '') };
}

function runNow(links: readonly Link[], features: Feeds, outputNames: readonly string[]): Results {
  const values: Feeds = { ...features };
  for (const { session, takes, gives } of links) {
    Object.assign(values, session.run(taken(values, takes), gives)); // synchronous: never a promise
  }
  return taken(values, outputNames);
}

async function runLater(links: readonly Link[], features: Feeds, outputNames: readonly string[]): Promise<Results> {
  const values: Feeds = { ...features };
  for (const { session, takes, gives } of links) {
    Object.assign(values, await session.run(taken(values, takes), gives));
  }
  return taken(values, outputNames);
}

function taken(values: Feeds, names: readonly string[]): Feeds {
  const feeds: Feeds = {};
  for (const name of names) {
    const value = values[name];
    if (value !== undefined) feeds[name] = value;
  }
  return feeds;
}
