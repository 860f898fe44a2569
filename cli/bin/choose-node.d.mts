export declare const MINIMUM_MAJOR: number;
export declare function chooseNode(machine: {
  readonly currentVersion: string;
  readonly currentPath: string;
  readonly workspaceNode: string | undefined;
  readonly probe: (path: string) => { readonly ok: boolean; readonly stderr: string };
}): { readonly node: string } | { readonly problem: string };
