/** Following a graph from some nodes on, a step at a time, not too far and not to too many. */

export interface WalkLimits {
  readonly maxDepth: number;
  readonly maxNodes: number;
}

export interface Walk<Node> {
  /** Each once, the nearest first. */
  readonly nodes: readonly Node[];
  /** There are more. */
  readonly truncated: boolean;
}

/**
 * @param read the nodes with these ids, in any order; unknown ones are left out
 * @param onward the ids of the next step; at most `limit` of them
 */
export async function walk<Node extends { readonly id: string }>(
  start: readonly string[],
  graph: {
    readonly read: (ids: readonly string[]) => Promise<readonly Node[]>;
    readonly onward: (nodes: readonly Node[], limit: number) => readonly string[] | Promise<readonly string[]>;
  },
  { maxDepth, maxNodes }: WalkLimits,
): Promise<Walk<Node>> {
  const nodes = new Map<string, Node>();
  let wanted: string[] = [...new Set(start)];
  for (let depth = 0; wanted.length > 0; depth += 1) {
    if (depth > maxDepth || nodes.size >= maxNodes) return { nodes: [...nodes.values()], truncated: true };
    const taken = wanted.slice(0, maxNodes - nodes.size);
    const found = new Map((await graph.read(taken)).map((node) => [node.id, node]));
    const reached = taken.flatMap((id) => found.get(id) ?? []);
    for (const node of reached) nodes.set(node.id, node);
    if (reached.length === 0) break;
    if (taken.length < wanted.length) return { nodes: [...nodes.values()], truncated: true };
    const next = await graph.onward(reached, maxNodes + 1); // those that were seen before are among them
    wanted = [...new Set(next)].filter((id) => !nodes.has(id));
  }
  return { nodes: [...nodes.values()], truncated: false };
}
