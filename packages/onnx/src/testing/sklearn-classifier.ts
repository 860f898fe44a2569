/**
 * A classifier as scikit-learn 1.x and skl2onnx 1.20 wrote it, ZipMap included: StandardScaler and LogisticRegression over
 * x float32 [N, 3], classes early, late, on time; and what scikit-learn's predict_proba gives for three rows.
 *
 * ```python
 * r = np.random.RandomState(0); X = r.randn(60, 3).astype(np.float32)
 * y = np.where(X[:, 0] + X[:, 1] > 0.5, 'late', np.where(X[:, 2] > 0, 'on time', 'early'))
 * m = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
 * convert_sklearn(m, initial_types=[('x', FloatTensorType([None, 3]))], target_opset={'': 15, 'ai.onnx.ml': 3})
 * ```
 */
const BASE64 = [
  'CAgSCHNrbDJvbm54GgYxLjIwLjAiB2FpLm9ubngoADIAOucFCmAKAXgSCHZhcmlhYmxlGgZTY2FsZXIiBlNjYWxlcioaCgZvZmZz',
  'ZXQ9teOCPj0h6z0+PbAlJb6gAQYqGQoFc2NhbGU9MFF6Pz23EYM/Pc7kgz+gAQY6CmFpLm9ubngubWwKlwIKCHZhcmlhYmxlEgVs',
  'YWJlbBIScHJvYmFiaWxpdHlfdGVuc29yGhBMaW5lYXJDbGFzc2lmaWVyIhBMaW5lYXJDbGFzc2lmaWVyKi4KE2NsYXNzbGFiZWxz',
  'X3N0cmluZ3NKBWVhcmx5SgRsYXRlSgdvbiB0aW1loAEIKj4KDGNvZWZmaWNpZW50cz1s9nK/PVEfJr89Yj3Avz1QqNw/PUaVzT89',
  'kEdfPj0xWka/PT4Ldb89b1SkP6ABBioeCgppbnRlcmNlcHRzPY36iL49xLZvPz16OSu/oAEGKhIKC211bHRpX2NsYXNzGAGgAQIq',
  'HAoOcG9zdF90cmFuc2Zvcm0iB1NPRlRNQVigAQM6CmFpLm9ubngubWwKKwoFbGFiZWwSDG91dHB1dF9sYWJlbBoISWRlbnRpdHki',
  'CElkZW50aXR5OgAKVgoScHJvYmFiaWxpdHlfdGVuc29yEg1wcm9iYWJpbGl0aWVzGgpOb3JtYWxpemVyIgpOb3JtYWxpemVyKg0K',
  'BG5vcm0iAkwxoAEDOgphaS5vbm54Lm1sCm8KDXByb2JhYmlsaXRpZXMSEm91dHB1dF9wcm9iYWJpbGl0eRoGWmlwTWFwIgZaaXBN',
  'YXAqLgoTY2xhc3NsYWJlbHNfc3RyaW5nc0oFZWFybHlKBGxhdGVKB29uIHRpbWWgAQg6CmFpLm9ubngubWwSIDEwNGJlYjdmYjYx',
  'MTRmYWI4YjJlMmM3ZDQ4ODc0MGFkWhEKAXgSDAoKCAESBgoACgIIA2IYCgxvdXRwdXRfbGFiZWwSCAoGCAgSAgoAYiQKEm91dHB1',
  'dF9wcm9iYWJpbGl0eRIOIgwKCioICAgSBAoCCAFCDgoKYWkub25ueC5tbBABQgQKABAO',
].join('');

export const SKLEARN_CLASSIFIER: Uint8Array = Uint8Array.from(Buffer.from(BASE64, 'base64'));

export const SKLEARN_ROWS = [0.5, -1, 2, 0, 0, 0, -3, 1, 0.25];

export const SKLEARN_PROBABILITIES = [
  [0.0019167507998645306, 0.03609440103173256, 0.9619888067245483],
  [0.28077903389930725, 0.4160846769809723, 0.30313631892204285],
  [0.5058073401451111, 0.004621745087206364, 0.48957088589668274],
];
