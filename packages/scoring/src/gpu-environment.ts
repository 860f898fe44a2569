/** What a child process that runs graphs needs of our environment; it gets nothing else of it. */
const GPU_ENVIRONMENT = /^(LD_LIBRARY_PATH|CUDA_.*|NVIDIA_.*)$/;

/** What the loader of shared libraries and the driver read. */
export function gpuEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value !== undefined && GPU_ENVIRONMENT.test(name) ? [[name, value]] : [],
    ),
  );
}
