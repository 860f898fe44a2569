export { exactInteger, MINUS_ZERO, parseExactJson, stringifyExactJson } from './exact-json.ts';
export {
  AssayManifest,
  type Calibration,
  type Composed,
  type FeatureProfile,
  FORMAT_VERSION,
  type Golden,
  type Lineage,
  type Profile,
  readManifest,
  writeManifest,
} from './manifest.ts';
export { graphTensorType, type MlModelOptions, type TensorType, writeMlModel } from './mlmodel.ts';
export { type ModelPackage, type OpenPackageOptions, openPackage } from './open-package.ts';
export { MANIFEST_FILE, MLMODEL_FILE, MODEL_FILE, PACKAGE_LIMITS } from './package-files.ts';
export { type MlModelSummary, readMlModel } from './read-mlmodel.ts';
export { type PackageContent, type WrittenPackage, writePackage } from './write-package.ts';
