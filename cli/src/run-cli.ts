/** One run of the command line: parse, do, print what went wrong, give the exit code. */
import { AssayError } from '@assay/contracts';
import { describeFailure, EXIT_CODES, exitCodeOf } from '@assay/runtime';
import { CommanderError } from 'commander';
import type { Io } from './io.ts';
import { errorJson, errorText } from './output.ts';
import { createProgram, type Outcome } from './program.ts';

/**
 * Runs the command that `args` name and gives the exit code. `up` and `serve` do not come back: they end the process
 * themselves once they have stopped.
 */
export async function runCli(args: readonly string[], io: Io): Promise<number> {
  const outcome: Outcome = { code: EXIT_CODES.ok.code };
  const program = createProgram(io, outcome);
  try {
    await program.parseAsync(args, { from: 'user' });
    return outcome.code;
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      if (thrown.exitCode === 0) return EXIT_CODES.ok.code;
      return outcome.failureCode ?? EXIT_CODES.usage.code; // it has printed what was wrong
    }
    const error = AssayError.from(thrown);
    if (args.includes('--json')) io.err(errorJson(error));
    else io.err(thrown instanceof AssayError ? errorText(error) : `${describeFailure(thrown)}\n`);
    return outcome.failureCode ?? exitCodeOf(thrown);
  }
}
