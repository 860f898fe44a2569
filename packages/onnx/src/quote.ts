const MAX_LENGTH = 80;

/**
 * A name from a file, for a message: quoted, its control characters escaped, and shortened, since a hostile file may
 * name a thing by a gigabyte.
 */
export function quote(name: string): string {
  return JSON.stringify(name.length > MAX_LENGTH ? `${name.slice(0, MAX_LENGTH)}…` : name);
}
