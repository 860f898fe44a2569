/**
 * The last snapshot of keys, on disk: what a start without the registry believes. It holds digests, no keys; only its
 * owner may read it all the same. Written whole or not at all, and not believed unless its own digest is right.
 */
import { hash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AssayError, KeySnapshot, parse, Sha256 } from '@assay/contracts';
import Type from 'typebox';

export interface KeptKeys {
  /** When the registry last said that these are the keys; milliseconds since 1970. */
  readonly confirmedAtMs: number;
  readonly snapshot: KeySnapshot;
}

export interface KeyCache {
  /**
   * undefined when nothing was written yet.
   * @throws AssayError FAILED_PRECONDITION when the file is there and cannot be used
   */
  read(): Promise<KeptKeys | undefined>;
  write(kept: KeptKeys): Promise<void>;
}

const strict = { additionalProperties: false } as const;
const CacheFile = Type.Object({ formatVersion: Type.Literal(1), sha256: Sha256, kept: Type.String() }, strict);
const Kept = Type.Object({ confirmedAtMs: Type.Integer({ minimum: 0 }), snapshot: KeySnapshot }, strict);

export function openKeyCache(path: string): KeyCache {
  return {
    async read() {
      try {
        const file = parse(CacheFile, JSON.parse(await readFile(path, 'utf8')), 'cache');
        if (file.sha256 !== hash('sha256', file.kept)) throw new Error('its digest is wrong');
        return parse(Kept, JSON.parse(file.kept), 'keys');
      } catch (cause) {
        if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined;
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new AssayError('FAILED_PRECONDITION', `the cached API keys ${path} cannot be used: ${why}`, { cause });
      }
    },
    async write(kept) {
      const text = JSON.stringify({ confirmedAtMs: kept.confirmedAtMs, snapshot: known(kept.snapshot) });
      await mkdir(dirname(path), { recursive: true });
      const partial = `${path}.${randomUUID()}.partial`;
      try {
        const file = { formatVersion: 1, sha256: hash('sha256', text), kept: text };
        await writeFile(partial, JSON.stringify(file), { flag: 'wx', mode: 0o600, flush: true });
        await rename(partial, path);
      } catch (error) {
        await rm(partial, { force: true });
        throw error;
      }
    },
  };
}

/** Without what a newer registry says and this version, which will read it, does not know. */
function known({ revision, keys }: KeySnapshot): KeySnapshot {
  return {
    revision,
    keys: keys.map(({ id, secretSha256, principalId, principalName, principalKind, scopes, endpoints }) => ({
      id,
      secretSha256,
      principalId,
      principalName,
      principalKind,
      scopes,
      ...(endpoints === undefined ? {} : { endpoints }),
    })),
  };
}
