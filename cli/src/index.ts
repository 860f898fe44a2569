/** The command line as data, for its reference. */
import type { Command } from 'commander';
import { createProgram } from './program.ts';

export type { Io } from './io.ts';
export { runCli } from './run-cli.ts';

export interface CommandDescription {
  /** `assay audit verify` */
  readonly name: string;
  /** `assay register [options] <name> <path>` */
  readonly usage: string;
  readonly description: string;
  readonly options: readonly { readonly flags: string; readonly description: string }[];
}

/** Every command, in the order of `assay help`. */
export function describe(): readonly CommandDescription[] {
  const silent = { out: () => undefined, err: () => undefined, env: {}, cwd: '/', readStdin: async () => '' };
  const program = createProgram({ ...silent, signal: new AbortController().signal }, { code: 0 });
  return program.commands.flatMap((command) => [
    describeOne(command, 'assay'),
    ...inner(command, `assay ${command.name()}`),
  ]);
}

function inner(command: Command, prefix: string): CommandDescription[] {
  return command.commands.filter((one) => one.name() !== 'help').map((one) => describeOne(one, prefix));
}

function describeOne(command: Command, prefix: string): CommandDescription {
  const name = `${prefix} ${command.name()}`;
  return {
    name,
    usage: `${name} ${command.usage()}`,
    description: command.description(),
    options: optionsOf(command).map(({ flags, description, defaultValue }) => ({
      flags,
      description: typeof defaultValue === 'number' ? `${description} (default: ${defaultValue})` : description,
    })),
  };
}

/** Its own, and those of the command that it belongs to: they may stand after it, too. */
function optionsOf(command: Command): Command['options'] {
  const parent = command.parent;
  return parent === null || parent.parent === null ? command.options : [...command.options, ...parent.options];
}
