/** Places: JSON pointers as a reader would write them. */

function pointerTokens(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value at a JSON pointer; undefined where there is none. */
export function valueAt(root: unknown, pointer: string): unknown {
  let value: unknown = root;
  for (const token of pointerTokens(pointer)) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string, unknown>)[token]; // an object, and a missing key is undefined
  }
  return value;
}

/** `/records/0/age` under `body` → `records[0].age`; the root itself is called by its name. */
export function toPlace(pointer: string, what: string): string {
  let place = '';
  for (const token of pointerTokens(pointer)) {
    if (/^\d+$/.test(token)) place += `[${token}]`;
    else if (/^[A-Za-z_$][\w$-]*$/.test(token)) place += place === '' ? token : `.${token}`;
    else place += `[${JSON.stringify(token)}]`;
  }
  return place === '' ? what : place;
}

/** `place` and a key below it. */
export function joinPlace(place: string, key: string, what: string): string {
  const suffix = toPlace(`/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, what);
  if (place === what) return suffix;
  return suffix.startsWith('[') ? place + suffix : `${place}.${suffix}`;
}

/** A value as a message shows it: JSON, shortened. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
