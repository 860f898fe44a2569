/**
 * SQLite's own LIKE ignores the case of ASCII letters and takes no escape by itself; PostgreSQL's does neither. So that a
 * query means the same on both, SQLite gets this one.
 */

/** `text LIKE pattern ESCAPE escapedBy`: null where either is. Time grows with the product of the lengths at worst. */
export function like(pattern: unknown, text: unknown, escapedBy: unknown = '\\'): number | null {
  if (pattern === null || text === null) return null;
  return matches(wordsOf(String(pattern), String(escapedBy)), [...String(text)]) ? 1 : 0;
}

type Word = { readonly any: 'one' | 'many' } | { readonly character: string };

function wordsOf(pattern: string, escapedBy: string): Word[] {
  const words: Word[] = [];
  const characters = [...pattern];
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] ?? '';
    const next = characters[i + 1];
    if (character === escapedBy && next !== undefined) {
      words.push({ character: next });
      i += 1;
    } else if (character === '%') words.push({ any: 'many' });
    else if (character === '_') words.push({ any: 'one' });
    else words.push({ character });
  }
  return words;
}

/** Goes back to the last % alone: an earlier one need not take more, since what it took matched already. */
function matches(words: readonly Word[], text: readonly string[]): boolean {
  let [word, at] = [0, 0];
  let back: { readonly word: number; at: number } | undefined;
  while (at < text.length) {
    const current = words[word];
    if (current !== undefined && 'any' in current && current.any === 'many') {
      back = { word, at };
      word += 1;
    } else if (current !== undefined && ('any' in current || current.character === text[at])) {
      word += 1;
      at += 1;
    } else if (back !== undefined) {
      back.at += 1;
      at = back.at;
      word = back.word + 1;
    } else return false;
  }
  return words.slice(word).every((rest) => 'any' in rest && rest.any === 'many');
}
