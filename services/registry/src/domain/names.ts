/** Names that mean something already, and therefore cannot be given. */
import { AssayError } from '@assay/contracts';

/** The alias whose first move gives a model its default endpoint. */
export const CHAMPION = 'champion';

/**
 * An alias is written where a version may be written (`model@champion`, `models:/m/champion` in MLflow's words), so it
 * must not read like a version: not `latest`, not `v12`, not `12`.
 * @throws AssayError INVALID_ARGUMENT
 */
export function checkAliasName(alias: string): void {
  if (/^latest$/i.test(alias) || /^v?\d+$/i.test(alias)) {
    throw new AssayError('INVALID_ARGUMENT', `alias: "${alias}" is reserved, it reads like a version`, {
      details: [
        {
          place: 'alias',
          message: `"${alias}" is reserved, it reads like a version`,
          expected: 'a name other than `latest`, a number, or `v` and a number; `champion` for instance',
        },
      ],
    });
  }
}

/**
 * Model names share their paths with model ids, and version ids with version numbers; a name that looks like an id
 * would make `GET /v1/models/{name or id}` ambiguous.
 * @throws AssayError INVALID_ARGUMENT
 */
export function checkModelName(name: string): void {
  if (looksLikeId(name, 'mdl')) {
    throw new AssayError('INVALID_ARGUMENT', `name: "${name}" looks like a model id`, {
      details: [
        {
          place: 'name',
          message: `"${name}" looks like a model id`,
          expected: 'a name that does not begin with `mdl_`',
        },
      ],
    });
  }
}

/** A deleted model gives its name away: it is called so from then on. */
export function nameOnceDeleted(id: string, name: string): string {
  return `~${id}/${name}`;
}

/** What a model is, or was, called. */
export function shownName(name: string): string {
  return name.startsWith('~') ? name.slice(name.indexOf('/') + 1) : name;
}

/** Whether `text` is written like an id of this kind: `mdl_…`. */
export function looksLikeId(text: string, prefix: 'mdl' | 'ver'): boolean {
  return text.startsWith(`${prefix}_`);
}
