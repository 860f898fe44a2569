/** What a TypeScript file imports, by every way that the language has. */
import { parseSync, Visitor } from 'oxc-parser';

export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** Loaded when the importing file is loaded, or only when the expression runs. Types count as static. */
  readonly kind: 'static' | 'dynamic';
}

export interface FileImports {
  readonly imports: readonly Import[];
  /** Lines of `export default`. */
  readonly defaultExports: readonly number[];
}

/** Reads `import`, `export … from`, `import()`, `require()` and types written `import('…')`. Throws on a syntax error. */
export function readImports(file: string, source: string): FileImports {
  const { program, module, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message ?? 'cannot be parsed'}`);
  const lineOf = lineCounter(source);
  const imports: Import[] = [];
  const add = (specifier: string, offset: number, kind: Import['kind']): void => {
    imports.push({ specifier, line: lineOf(offset), kind });
  };
  for (const { moduleRequest } of module.staticImports) add(moduleRequest.value, moduleRequest.start, 'static');
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest } of entries) {
      if (moduleRequest !== null) add(moduleRequest.value, moduleRequest.start, 'static');
    }
  }
  const defaultExports: number[] = [];
  new Visitor({
    ImportExpression(node) {
      if (isText(node.source)) add(node.source.value, node.start, 'dynamic');
    },
    TSImportType(node) {
      if (isText(node.source)) add(node.source.value, node.start, 'static');
    },
    CallExpression(node) {
      const [argument] = node.arguments;
      const called = node.callee.type === 'Identifier' && /^require/i.test(node.callee.name);
      if (called && argument !== undefined && isText(argument)) add(argument.value, node.start, 'dynamic');
    },
    ExportDefaultDeclaration(node) {
      defaultExports.push(lineOf(node.start));
    },
  }).visit(program);
  return { imports: dropRepeated(imports), defaultExports };
}

function isText(node: { type: string; value?: unknown }): node is { type: 'Literal'; value: string } {
  return node.type === 'Literal' && typeof node.value === 'string';
}

/** `export { a, b } from 'x'` is an entry for each name. */
function dropRepeated(imports: readonly Import[]): Import[] {
  const seen = new Map(imports.map((found) => [`${found.line} ${found.kind} ${found.specifier}`, found]));
  return [...seen.values()];
}

function lineCounter(source: string): (offset: number) => number {
  const starts = [0];
  for (let at = source.indexOf('\n'); at !== -1; at = source.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => starts.findLastIndex((start) => start <= offset) + 1;
}
