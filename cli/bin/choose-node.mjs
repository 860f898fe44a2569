// Which Node runs Assay. Old JavaScript on purpose: this file must load, and speak plainly, on Node 12.

export const MINIMUM_MAJOR = 24;

/**
 * @param {{ currentVersion: string, currentPath: string, workspaceNode: string | undefined,
 *           probe: (path: string) => { ok: boolean, stderr: string } }} machine
 *   `workspaceNode` is the binary of the `node` dev dependency, where it is installed; `probe` runs `PATH -v`.
 * @returns {{ node: string } | { problem: string }}
 */
export function chooseNode(machine) {
  const currentIsNewEnough = parseInt(machine.currentVersion.replace(/^v/, ''), 10) >= MINIMUM_MAJOR;
  if (machine.workspaceNode === undefined) {
    if (currentIsNewEnough) return { node: machine.currentPath };
    const tooOld = `Node ${machine.currentVersion} is too old: Assay needs Node ${MINIMUM_MAJOR} or newer.`;
    return { problem: `${tooOld} Run \`make setup\`, which installs one beside the code, or install a newer Node.` };
  }
  if (machine.workspaceNode === machine.currentPath) return { node: machine.currentPath };
  const probed = machine.probe(machine.workspaceNode);
  if (probed.ok) return { node: machine.workspaceNode };
  if (currentIsNewEnough) return { node: machine.currentPath };
  return { problem: explain(machine.workspaceNode, probed.stderr) };
}

function explain(node, stderr) {
  const orYours = `or install Node ${MINIMUM_MAJOR} or newer yourself: Assay then uses that.`;
  const missing = /([\w.+-]+\.so[\w.]*): cannot open shared object file/.exec(stderr);
  if (missing !== null) {
    return `the system library ${missing[1]} is missing, which Node needs. ${remedy(missing[1])}, ${orYours}`;
  }
  const said = stderr.trim().split('\n')[0] || 'it says nothing';
  return `the Node beside the code (${node}) does not run: ${said}. Run \`make setup\` again, ${orYours}`;
}

function remedy(library) {
  const name = library.split('.so')[0];
  const packages = {
    libatomic: ['libatomic1', 'libatomic'],
    'libstdc++': ['libstdc++6', 'libstdc++'],
    libgcc_s: ['libgcc-s1', 'libgcc'],
  }[name];
  if (packages === undefined) return 'Install it with the package manager of your system';
  return `Install it (Debian, Ubuntu: \`apt-get install ${packages[0]}\`; Fedora, RHEL: \`dnf install ${packages[1]}\`)`;
}
