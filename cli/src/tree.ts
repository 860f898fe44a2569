/** A tree as lines of a terminal. */
export interface Tree {
  readonly text: string;
  readonly children?: readonly Tree[];
}

export function treeText(root: Tree): string {
  return `${root.text}\n${branches(root.children ?? [], '')}`;
}

function branches(trees: readonly Tree[], indent: string): string {
  return trees
    .map(({ text, children = [] }, i) => {
      const isLast = i === trees.length - 1;
      return `${indent}${isLast ? '└─' : '├─'} ${text}\n${branches(children, `${indent}${isLast ? '   ' : '│  '}`)}`;
    })
    .join('');
}
