/** The commands under `assay gates`. */
import type { Command, Option } from 'commander';
import type { Io } from '../io.ts';
import type { Outcome } from '../program.ts';

const HELP = `
Examples:
  assay gates set flight-delay gates.yaml
  assay gates check flight-delay 7                 exit code 0: champion may move there; 4: it may not, and why
  assay approve flight-delay 7 --comment "read the evaluation"
  assay promote flight-delay 7
`;

/** @param gates the command `gates` itself */
export function addGatesCommands(
  gates: Command,
  io: Io,
  outcome: Outcome,
  targets: { registry: () => Option; dataDir: () => Option },
): void {
  const command = (usage: string, description: string): Command =>
    gates
      .command(usage)
      .description(description)
      .option('--json', 'print JSON, errors too')
      .addOption(targets.registry())
      .addOption(targets.dataDir());
  const load = () => import('./gates.ts');
  gates.addHelpText('after', HELP);

  command('show <model>', 'show what is required').action(async (model: string, options) =>
    (await load()).show(io, model, options),
  );
  command('set <model> <file>', 'require what a YAML file says, and nothing else').action(
    async (model: string, file: string, options) => (await load()).set(io, model, file, options),
  );
  command('check <model> <version>', 'tell how a version stands before the gates; nothing moves')
    .option('--alias <alias>', 'before those of this alias (default: champion)')
    .action(async (model: string, version: string, options) => {
      outcome.code = await (await load()).check(io, model, version, options);
    });
}
