/**
 * The environment of a job's process: an allow-list, since a service's own holds the platform's secrets. A job gets its
 * own token and URL by `environment` of its launch.
 */

const ALLOWED =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TEMP|TMP|XDG_CACHE_HOME|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|SSL_CERT_FILE|SSL_CERT_DIR|NODE_EXTRA_CA_CERTS|OMP_[A-Z_]+|MALLOC_[A-Z_]+|CUDA_[A-Z_]+|NVIDIA_[A-Z_]+)$/;

export function childEnvironment(
  parent: Readonly<NodeJS.ProcessEnv>,
  also: readonly string[],
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(parent)) {
    if (value !== undefined && (ALLOWED.test(name) || also.includes(name))) environment[name] = value;
  }
  return { ...environment, ...own };
}
