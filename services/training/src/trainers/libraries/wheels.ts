/** Wheels of which more than one trainer takes something. */
import type { Wheel } from './wheel.ts';

export const XGBOOST_VERSION = '3.2.0';

export const XGBOOST_CPU_WHEEL: Wheel = {
  requirement: `xgboost-cpu==${XGBOOST_VERSION}`,
  builds: {
    x64: {
      platform: 'manylinux_2_28_x86_64',
      sha256: '9c10b1653e1a689bf4094a328144cf3633c9be0e5217a76fbdc2fde6abcb2950',
    },
    arm64: {
      platform: 'manylinux_2_28_aarch64',
      sha256: '896b9e2bc52ec0921edf92ddd1cebedf47032e94992b7aca0293524d380ce6e9',
    },
  },
};
