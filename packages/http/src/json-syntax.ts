/** Where a text stops being JSON (RFC 8259). V8 names the position for some mistakes only; this one always does. */

export interface JsonMistake {
  /** Characters before the mistake. */
  readonly offset: number;
  readonly line: number;
  readonly column: number;
  readonly expected: string;
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const SPACE = /[ \t\n\r]*/y;

/**
 * The first mistake of a text that `JSON.parse` refused; undefined if there is none. It keeps its own stack, so that
 * nesting costs memory in proportion to the text and never the thread's stack.
 */
export function findJsonMistake(text: string): JsonMistake | undefined {
  let at = 0;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const skipSpace = () => void match(SPACE);
  const mistake = (expected: string): JsonMistake => {
    const before = text.slice(0, at);
    const line = before.split('\n').length;
    return { offset: at, line, column: at - before.lastIndexOf('\n'), expected };
  };
  const string = (): JsonMistake | undefined => {
    for (at++; at < text.length && text.charCodeAt(at) >= 0x20; ) {
      if (text[at] === '"') {
        at++;
        return undefined;
      }
      if (text[at] !== '\\') at++;
      else if (match(ESCAPE) === undefined) break;
    }
    if (at >= text.length) return mistake('the end of the string, `"`');
    return mistake(
      text[at] === '\\' ? 'a valid escape after `\\`' : 'no control character inside a string (write \\n, \\t, \\u…)',
    );
  };
  const key = (): JsonMistake | undefined => {
    if (text[at] !== '"') return mistake('a key in double quotes');
    const wrong = string();
    if (wrong !== undefined) return wrong;
    skipSpace();
    if (text[at] !== ':') return mistake('`:` after the key');
    at++;
    return undefined;
  };

  const closers: ('}' | ']')[] = [];
  for (;;) {
    // a value
    skipSpace();
    const first = text[at];
    if (first === '{' || first === '[') {
      at++;
      skipSpace();
      const closer = first === '{' ? '}' : ']';
      if (text[at] === closer) at++;
      else {
        closers.push(closer);
        if (closer === '}') {
          const wrong = key();
          if (wrong !== undefined)
            return wrong.expected === 'a key in double quotes' ? mistake('a key in double quotes or `}`') : wrong;
        }
        continue;
      }
    } else if (first === '"') {
      const wrong = string();
      if (wrong !== undefined) return wrong;
    } else {
      const word = ['true', 'false', 'null'].find((one) => text.startsWith(one, at));
      if (word !== undefined) at += word.length;
      else if (match(NUMBER) === undefined) return mistake('a value');
    }
    // what follows a value
    for (;;) {
      skipSpace();
      const closer = closers.at(-1);
      if (closer === undefined) return at < text.length ? mistake('nothing after the value') : undefined;
      if (text[at] === closer) {
        at++;
        closers.pop();
        continue;
      }
      if (text[at] !== ',') return mistake(`\`,\` or \`${closer}\``);
      at++;
      if (closer === '}') {
        skipSpace();
        const wrong = key();
        if (wrong !== undefined) return wrong;
      }
      break;
    }
  }
}
