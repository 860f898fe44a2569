/**
 * The child process of load-in-child.ts: `check DIR`, `package ONNX DIR DESCRIPTION [EXAMPLES]`, or
 * `compose REQUEST DIR`. Answers by one JSON document on file descriptor 3 and ends.
 */
import { readFileSync, writeSync } from 'node:fs';
import { AssayError } from '@assay/contracts';
import { openPackage } from '@assay/model-package';
import { composePackage } from '../compose/compose-package.ts';
import { verifyGolden } from '../golden-records.ts';
import type { ComposedPackage, ComposeRequest, LoadReport } from '../load-in-child.ts';
import { packageFromOnnx } from '../package-from-onnx.ts';
import { createScorer } from '../scorer.ts';

async function check(dir: string): Promise<LoadReport> {
  const pkg = await openPackage(dir);
  const scorer = await createScorer(pkg);
  const { signature, digest, executionClass, call, packed, batching, batchInvariant, measured, notes } = scorer;
  const golden = await verifyGolden(scorer, pkg);
  return { signature, digest, executionClass, call, packed, batching, batchInvariant, measured, notes, golden };
}

async function main([command, ...args]: readonly string[]): Promise<unknown> {
  const [first = '', dir = '', description = '', examplesPath] = args;
  switch (command) {
    case 'check':
      return check(first);
    case 'package': {
      const written = await packageFromOnnx(readFileSync(first), {
        dir,
        ...(description === '' ? {} : { description }),
        ...(examplesPath === undefined ? {} : { exampleInput: JSON.parse(readFileSync(examplesPath, 'utf8')) }),
      });
      return { digest: written.digest, files: written.files };
    }
    case 'compose': {
      const request = JSON.parse(readFileSync(first, 'utf8')) as ComposeRequest; // written by who started this process
      const { digest, manifest } = await composePackage(request.composition, request.parts, { dir });
      const { graphs = [], apart } = manifest.composition ?? {};
      return { digest, graphs, apart } satisfies Record<keyof ComposedPackage, unknown>;
    }
    default:
      throw new AssayError('INTERNAL', `check-package knows no command ${JSON.stringify(command)}`);
  }
}

let answer: unknown;
try {
  answer = { result: await main(process.argv.slice(2)) };
} catch (thrown) {
  const error = AssayError.from(thrown);
  if (error.code === 'INTERNAL') console.error(error.cause ?? error);
  answer = { error: { code: error.code, message: error.message, details: error.details } };
}
const bytes = Buffer.from(JSON.stringify(answer));
for (let written = 0; written < bytes.length; ) written += writeSync(3, bytes, written);
