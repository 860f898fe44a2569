/** The difference of two texts by lines, as `diff -u` shows it: `-` only before, `+` only after, ` ` in both. */

/** More pairs of lines than this are not compared: then all of the middle goes, and all of it comes. */
const MAX_PAIRS = 4_000_000;

/** @param context how many lines that stay are shown around each change; `…` stands for those that are left out */
export function lineDiff(before: readonly string[], after: readonly string[], context: number): string[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  while (
    end < Math.min(before.length, after.length) - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  ) {
    end++;
  }
  const lines = [
    ...before.slice(0, start).map((line) => ` ${line}`),
    ...middle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map((line) => ` ${line}`),
  ];
  return around(lines, context);
}

/** By the longest common subsequence. */
function middle(before: readonly string[], after: readonly string[]): string[] {
  const width = after.length + 1;
  if (before.length * after.length > MAX_PAIRS) {
    return [...before.map((line) => `-${line}`), ...after.map((line) => `+${line}`)];
  }
  // common[i * width + j]: how many lines `before` from i and `after` from j have in common.
  const common = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number): number => common[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      common[i * width + j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      lines.push(` ${before[i]}`);
      i++;
      j++;
    } else if (i < before.length && (j === after.length || at(i + 1, j) >= at(i, j + 1))) lines.push(`-${before[i++]}`);
    else lines.push(`+${after[j++]}`);
  }
  return lines;
}

function around(lines: readonly string[], context: number): string[] {
  const isShown = lines.map(() => false);
  for (const [i, line] of lines.entries()) {
    if (!line.startsWith(' ')) isShown.fill(true, Math.max(0, i - context), i + context + 1);
  }
  return lines.flatMap((line, i) => {
    if (isShown[i]) return [line];
    return i === 0 || isShown[i - 1] ? ['…'] : [];
  });
}
