/**
 * `node dockerfiles/fetch-cuda-provider.ts FOLDER` makes FOLDER: ONNX Runtime's CUDA provider where the npm package looks
 * for it, and in FOLDER/cuda the libraries of CUDA and cuDNN that it loads, each with its licence. TensorRT is left out: its
 * libraries are larger than all of these, and only its own provider loads them.
 */
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { fetchWheel } from '../services/training/src/trainers/libraries/wheel.ts';

/** The first is of onnxruntime-node's version, whose library loads it; those of NVIDIA are of one release of CUDA, 13.5. */
const WHEELS = [
  {
    requirement: 'onnxruntime-gpu==1.30.0',
    platform: 'manylinux_2_28_x86_64',
    sha256: '6acc0f4b3d5ac5f2984432faa59dd8fcce6775f8b43a7140afa0f322c7a703b1',
  },
  {
    requirement: 'nvidia-cublas==13.10.0.20',
    platform: 'manylinux_2_5_x86_64',
    sha256: 'dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84',
  },
  {
    requirement: 'nvidia-cuda-nvrtc==13.5.37',
    platform: 'manylinux_2_12_x86_64',
    sha256: '86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc',
  },
  {
    requirement: 'nvidia-cuda-runtime==13.5.37',
    platform: 'manylinux_2_17_x86_64',
    sha256: 'df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d',
  },
  {
    requirement: 'nvidia-cudnn-cu13==9.28.1.4',
    platform: 'manylinux_2_27_x86_64',
    sha256: 'a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec',
  },
  {
    requirement: 'nvidia-cufft==12.5.0.14',
    platform: 'manylinux_2_17_x86_64',
    sha256: 'b8be26837a5abad2b5b74f3e92dd29f622a42934b355be0961a48712cbba23ad',
  },
  {
    requirement: 'nvidia-curand==10.4.5.25',
    platform: 'manylinux_2_27_x86_64',
    sha256: '22bb226a857e5888fe6b54ae465fc4371296bcff13a35f79e19691bcf454f529',
  },
];

/** Where a file of a wheel goes; undefined for what is not needed. */
function place(path: string, wheel: string): string | undefined {
  const file = basename(path);
  if (/\/capi\/libonnxruntime_providers_(shared|cuda)\.so$/.test(path)) {
    return join('node_modules/onnxruntime-node/bin/napi-v6/linux/x64', file);
  }
  if (/^nvidia\/[^/]+\/lib\/lib[^/]+\.so\.[\d.]+$/.test(path)) {
    return /^lib(nvblas|cufftw)\./.test(file) ? undefined : join('cuda', file);
  }
  return /^(license(\.txt)?|thirdpartynotices\.txt)$/i.test(file) ? join('cuda/licences', wheel, file) : undefined;
}

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: fetch-cuda-provider FOLDER');
if (process.arch !== 'x64') throw new Error(`there is no CUDA provider of ONNX Runtime for ${process.arch}`);
const { version } = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string }; // npm's form
if (WHEELS[0]?.requirement !== `onnxruntime-gpu==${version}`) {
  throw new Error(
    `onnxruntime-node is ${version}, and here is the provider of ${WHEELS[0]?.requirement}; pin its wheel`,
  );
}
const target = resolve(folder);
const pins = JSON.stringify(WHEELS);
const isThere = (await readFile(join(target, 'cuda', 'wheels.json'), 'utf8').catch(() => '')) === pins;
if (!isThere) await make();

async function make(): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const temporary = await mkdtemp(`${target}-`);
  try {
    const made = join(temporary, 'made');
    for (const { requirement, ...build } of WHEELS) {
      process.stderr.write(`fetching ${requirement}\n`);
      const [wheel = ''] = requirement.split('==');
      const dir = join(temporary, wheel);
      await mkdir(dir);
      for (const file of await fetchWheel(requirement, build, dir, AbortSignal.timeout(20 * 60_000))) {
        const to = place(file.path, wheel);
        if (to === undefined) continue;
        await mkdir(dirname(join(made, to)), { recursive: true });
        await rename(file.absolute, join(made, to));
      }
      await rm(dir, { recursive: true });
    }
    await symlink('libcudnn.so.9', join(made, 'cuda', 'libcudnn.so')); // the provider opens it by this name
    await writeFile(join(made, 'cuda', 'wheels.json'), pins);
    await rm(target, { recursive: true, force: true });
    await rename(made, target);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
