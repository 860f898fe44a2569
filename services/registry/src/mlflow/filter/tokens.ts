/** The words of MLflow's filter language, with their places. */
import { invalid } from '../errors.ts';

export type Token =
  | {
      readonly kind: 'word' | 'quoted' | 'text' | 'number' | 'operator' | 'punctuation';
      readonly text: string;
      readonly at: number;
    }
  | { readonly kind: 'end'; readonly text: ''; readonly at: number };

/** A filter of this length is read in a millisecond; nobody types a longer one. */
const MAX_LENGTH = 10_000;
const PATTERNS = [
  ['space', /\s+/y],
  ['number', /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z0-9_])/y],
  ['word', /[A-Za-z_][A-Za-z0-9_/-]*/y],
  ['quoted', /`(?:[^`])*`/y],
  ['double', /"(?:[^"\\]|\\[\s\S])*"/y],
  ['text', /'(?:[^'\\]|\\[\s\S]|'')*'/y],
  ['operator', /!=|<>|<=|>=|==|=|<|>/y],
  ['punctuation', /[.(),]/y],
] as const;

/**
 * @param place how messages call the text: `filter`
 * @throws AssayError INVALID_ARGUMENT naming the column of what is no word
 */
export function tokenize(source: string, place: string): Token[] {
  if (source.length > MAX_LENGTH) {
    throw invalid(place, `has ${source.length} characters`, `at most ${MAX_LENGTH}`);
  }
  const tokens: Token[] = [];
  for (let at = 0; at < source.length; ) {
    const found = match(source, at);
    if (found === undefined) {
      const what = /^['"`]/.test(source.slice(at)) ? 'a quote that is never closed' : JSON.stringify(source.at(at));
      throw invalid(place, `column ${at + 1}: ${what}`, 'a name, a value or an operator');
    }
    const [kind, text] = found;
    if (kind === 'quoted') tokens.push({ kind, text: text.slice(1, -1), at });
    else if (kind === 'text' || kind === 'double') tokens.push({ kind: 'text', text: unquote(text), at });
    else if (kind !== 'space') tokens.push({ kind, text, at });
    at += text.length;
  }
  tokens.push({ kind: 'end', text: '', at: source.length });
  return tokens;
}

function match(source: string, at: number): readonly [(typeof PATTERNS)[number][0], string] | undefined {
  for (const [kind, pattern] of PATTERNS) {
    pattern.lastIndex = at;
    const text = pattern.exec(source)?.[0];
    if (text !== undefined) return [kind, text];
  }
  return undefined;
}

function unquote(text: string): string {
  const inner = text.slice(1, -1);
  return text.startsWith("'") ? inner.replaceAll("''", "'") : inner;
}
