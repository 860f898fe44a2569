/** One source of packages for several threads: what any of them uses is in use. */
import type { PackageSource } from '../domain/version.ts';

export interface SharedPackages {
  /** A user of the source, which retains what it uses until it releases. */
  user(): PackageUser;
}

export interface PackageUser extends PackageSource {
  retain(digests: ReadonlySet<string>): void;
  release(): void;
}

export function sharePackages(source: PackageSource): SharedPackages {
  const inUse = new Map<PackageUser, ReadonlySet<string>>();
  const tell = (): void => source.retain?.(new Set([...inUse.values()].flatMap((digests) => [...digests])));
  return {
    user() {
      const { discard } = source;
      const user: PackageUser = {
        fetch: (version, signal) => source.fetch(version, signal),
        ...(discard === undefined ? {} : { discard: (digest: string) => discard.call(source, digest) }),
        retain(digests) {
          inUse.set(user, digests);
          tell();
        },
        release() {
          if (inUse.delete(user)) tell();
        },
      };
      return user;
    },
  };
}
