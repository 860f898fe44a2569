/** `assay diff`, `assay apply` and `assay export`. */
import { type Command, Option } from 'commander';
import type { Io } from '../io.ts';
import type { Outcome } from '../program.ts';

/** Those of `terraform plan -detailed-exitcode`. */
export const DIFF_EXIT_CODES = { same: 0, failure: 1, changes: 2 } as const;

const HELP = `
Examples:
  assay export -f platform            what there is, as files: one resource a file
  assay diff -f platform              what would change; exit code 0: nothing, 2: something, 1: it cannot be told
  assay apply -f platform             make it so; what no file names is left alone

A document says all of its resource; what it leaves out has its default. \`absent: true\` instead of \`spec\` deletes.
More: docs/as-files.md
`;

export function addFilesCommands(
  command: (usage: string, description: string) => Command,
  io: Io,
  outcome: Outcome,
  targets: { registry: () => Option; dataDir: () => Option },
): void {
  const ofFiles = (usage: string, description: string, files: string): Command =>
    command(usage, description)
      .addOption(new Option('-f, --files <path>', files).makeOptionMandatory())
      .addOption(targets.registry())
      .addOption(targets.dataDir())
      .addHelpText('after', HELP);
  const load = () => import('./files.ts');
  const toRead = 'a folder of YAML and JSON documents, or one file';

  const diff = ofFiles('diff', 'show what files would change: exit code 0 nothing, 2 something, 1 for errors', toRead);
  // Else its usage errors would end with 2, and be read as changes.
  const failing = <T>(thrown: T): T => {
    outcome.failureCode = DIFF_EXIT_CODES.failure;
    return thrown;
  };
  diff
    .exitOverride((error) => {
      throw failing(error);
    })
    .action(async (options) => {
      try {
        outcome.code = await (await load()).diff(io, options);
      } catch (error) {
        throw failing(error);
      }
    });

  ofFiles('apply', 'make the registry what files say, by compare-and-set', toRead)
    .option('--dry-run', 'only show what would be done')
    .option(
      '--commit <sha>',
      'the git commit for the audit trail (default: HEAD of a clean work tree, else that of CI)',
    )
    .action(async (options) => (await load()).apply(io, options));

  ofFiles('export', 'write what the registry has as files that apply as no change', 'the folder to write, empty or new')
    .addOption(
      new Option('--kinds <list>', 'only these, with commas between: Model,Alias,Endpoint').argParser((text) =>
        text.split(',').map((kind) => kind.trim()),
      ),
    )
    .action(async (options) => (await load()).exportTo(io, options));
}
