/**
 * What another process wrote is read tolerantly: a newer one may say more than this one knows. What is there must still be
 * of the type that the contract says.
 */
import type { TSchema } from 'typebox';

const made = new WeakMap<TSchema, TSchema>();

/** `schema` with unknown keys allowed everywhere; nothing else is relaxed. */
export function tolerant<S extends TSchema>(schema: S): S {
  let relaxed = made.get(schema);
  if (relaxed === undefined) {
    relaxed = relax(schema) as TSchema; // an object gives an object
    made.set(schema, relaxed);
  }
  return relaxed as S; // the same type: only `additionalProperties: false` is gone
}

function relax(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(relax);
  if (typeof part !== 'object' || part === null) return part;
  return Object.fromEntries(
    Object.entries(part)
      .filter(([key, value]) => !(key === 'additionalProperties' && value === false))
      .map(([key, value]) => [key, relax(value)]),
  );
}
