import { readFileSync } from 'node:fs';

/** Set by the bundler (`define`); from source the package's own version is read. */
declare const ASSAY_BUNDLE_VERSION: string | undefined;

/** The version of Assay, as in `package.json`. */
export const ASSAY_VERSION: string =
  typeof ASSAY_BUNDLE_VERSION === 'string' ? ASSAY_BUNDLE_VERSION : versionOfSource();

function versionOfSource(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) return String(manifest.version);
  throw new Error('packages/runtime/package.json has no version');
}
