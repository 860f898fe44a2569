/** One validator for HTTP, events, config and files, and the one function that turns its errors into places. */
import type { Static, TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { Settings } from 'typebox/system';
import { AssayError, type ErrorDetail } from './errors.ts';
import { nearest } from './nearest.ts';
import { joinPlace, show, toPlace, valueAt } from './places.ts';
import { readUnions, type ValidationError } from './unions.ts';

/** How many wrong places are reported at once; more do not help a reader. */
const MAX_DETAILS = 20;

// A union reports each of its branches; at the default of 8 the error that matters may be cut off.
Settings.Set({ maxErrors: 500 });

const compiled = new WeakMap<TSchema, Validator>();

function validatorOf(schema: TSchema): Validator {
  let validator = compiled.get(schema);
  if (validator === undefined) {
    validator = Compile(schema);
    compiled.set(schema, validator);
  }
  return validator;
}

/** Whether `value` is what `schema` says. Nothing is coerced, dropped or defaulted. */
export function matches<S extends TSchema>(schema: S, value: unknown): value is Static<S> {
  return validatorOf(schema).Check(value);
}

/**
 * `value`, if it is what `schema` says; else INVALID_ARGUMENT with each wrong place.
 * @param what names the value in messages and begins every place: `body`, `config`, `spec`
 */
export function parse<S extends TSchema>(schema: S, value: unknown, what: string): Static<S> {
  if (matches(schema, value)) return value;
  const details = explain(schema, value, what);
  const first = details[0];
  const more = details.length > 1 ? ` (and ${details.length - 1} more)` : '';
  throw new AssayError('INVALID_ARGUMENT', first ? `${first.place}: ${first.message}${more}` : `${what} is not valid`, {
    details,
  });
}

/** Every wrong place of `value`, as a reader would write it: `records[0].age`. */
export function explain(schema: TSchema, value: unknown, what: string): ErrorDetail[] {
  const details: ErrorDetail[] = [];
  const seen = new Set<string>();
  const errors = validatorOf(schema).Errors(value);
  const unions = readUnions(errors, schema, value, what);
  for (const error of errors) {
    if (unions.isNotMeant(error.schemaPath)) continue;
    for (const detail of unions.details.get(error) ?? toDetails(error, schema, value, what)) {
      const key = `${detail.place}\0${detail.message}`;
      if (!seen.has(key)) {
        seen.add(key);
        details.push(detail);
      }
    }
    if (details.length >= MAX_DETAILS) break;
  }
  return details;
}

function toDetails(error: ValidationError, schema: TSchema, root: unknown, what: string): ErrorDetail[] {
  const place = toPlace(error.instancePath, what);
  switch (error.keyword) {
    case 'additionalProperties': {
      const known = Object.keys(propertiesAt(schema, error.schemaPath));
      return error.params.additionalProperties.map((key) => {
        const suggestion = nearest(key, known);
        return {
          place: joinPlace(place, key, what),
          message: `unknown key "${key}"${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}`,
          ...(known.length > 0 ? { expected: `one of ${known.join(', ')}` } : {}),
        };
      });
    }
    case 'required':
      return error.params.requiredProperties.map((key) => ({
        place: joinPlace(place, key, what),
        message: 'is required',
      }));
    case 'boolean':
      // `additionalProperties: false` reports each extra key once more as a boolean schema; the case above said it.
      return [];
    case 'enum': {
      const allowed = error.params.allowedValues.map(String);
      const found = valueAt(root, error.instancePath);
      const suggestion = typeof found === 'string' ? nearest(found, allowed) : undefined;
      return [
        {
          place,
          message: `${show(found)} is not one of the allowed values${suggestion === undefined ? '' : `; did you mean "${suggestion}"?`}`,
          expected: `one of ${allowed.join(', ')}`,
        },
      ];
    }
    case 'type':
      return [
        {
          place,
          message: `${error.message}, got ${show(valueAt(root, error.instancePath))}`,
          expected: [error.params.type].flat().join(' or '),
        },
      ];
    default:
      return [{ place, message: error.message }];
  }
}

/** The `properties` of the schema at a JSON pointer such as `#/properties/a`. */
function propertiesAt(schema: TSchema, schemaPath: string): Record<string, unknown> {
  const found = valueAt(schema, schemaPath.replace(/^#/, ''));
  const properties = (found as { properties?: Record<string, unknown> } | undefined)?.properties; // checked by `?? {}`
  return properties ?? {};
}
