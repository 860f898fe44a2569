/**
 * A composition checked: its steps in an order in which each comes behind those that it takes from, with what each gives
 * and which features all of them take together. Nothing is run here.
 */
import {
  AssayError,
  type Composition,
  type CompositionStep,
  describeType,
  type ErrorDetail,
  type Feature,
  type JoiningStep,
  nearest,
  type Output,
  type Signature,
  type VersionStep,
} from '@assay/contracts';
import { joinFeatures, type TakenFeature } from './features.ts';
import { type GivenValue, resultOf } from './results.ts';

/** What goes into a step: a feature of the composition, or what a step before it gives. */
export type Source =
  | { readonly kind: 'feature'; readonly name: string }
  | { readonly kind: 'value'; readonly value: GivenValue; readonly position: number | undefined };

export interface PlannedStep {
  readonly name: string;
  readonly step: CompositionStep;
  /** Of a version. */
  readonly signature: Signature | undefined;
  /** Of a version one a feature in the order of its signature, of another step one a reference. */
  readonly sources: readonly Source[];
  readonly gives: readonly GivenValue[];
}

export interface Plan {
  readonly steps: readonly PlannedStep[];
  readonly outputs: readonly { readonly name: string; readonly source: Source & { readonly kind: 'value' } }[];
  readonly signature: Signature;
}

/**
 * @param parts the signatures of the versions, by step
 * @throws AssayError INVALID_ARGUMENT; `details` names each misfit: `steps.blend.mean[1]`
 */
export function planComposition(composition: Composition, parts: ReadonlyMap<string, Signature>): Plan {
  const problems: ErrorDetail[] = [];
  const planner = new Planner(composition, parts, problems);
  for (const name of Object.keys(composition.steps)) planner.plan(name, []);
  const outputs = planner.outputs();
  throwAny(problems);
  const features = joinFeatures(planner.taken, problems);
  for (const { name } of outputs) {
    if (features.some((feature) => feature.name === name)) {
      problems.push({ place: `outputs.${name}`, message: 'is the name of a feature too; name the output otherwise' });
    }
  }
  for (const { name } of planner.steps) {
    if (!planner.used.has(name)) problems.push({ place: `steps.${name}`, message: 'goes into no output' });
  }
  if (features.length === 0) problems.push({ place: 'steps', message: 'take no features' });
  throwAny(problems);
  return {
    steps: planner.steps,
    outputs,
    signature: {
      features,
      outputs: outputs.map(({ name, source }): Output => ({ ...shownAs(source), name })),
    },
  };
}

function shownAs({ value, position }: Source & { readonly kind: 'value' }): Omit<Output, 'name'> {
  const { dtype, shape, classes, description } = value.output;
  return {
    dtype,
    shape: position === undefined ? shape : [],
    ...(classes === undefined || position !== undefined ? {} : { classes }),
    ...(description === undefined || position !== undefined ? {} : { description }),
  };
}

function throwAny(problems: readonly ErrorDetail[]): void {
  const [first] = problems;
  if (first === undefined) return;
  const more = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`;
  throw new AssayError('INVALID_ARGUMENT', `the parts do not fit together: ${first.place}: ${first.message}${more}`, {
    details: problems,
  });
}

/** Plans each step once, those that it takes from first. */
class Planner {
  readonly steps: PlannedStep[] = [];
  readonly taken: TakenFeature[] = [];
  readonly used = new Set<string>();
  readonly #planned = new Map<string, PlannedStep | undefined>();
  readonly #composition: Composition;
  readonly #parts: ReadonlyMap<string, Signature>;
  readonly #problems: ErrorDetail[];

  constructor(composition: Composition, parts: ReadonlyMap<string, Signature>, problems: ErrorDetail[]) {
    this.#composition = composition;
    this.#parts = parts;
    this.#problems = problems;
  }

  /** @param path the steps that wait for this one */
  plan(name: string, path: readonly string[]): PlannedStep | undefined {
    if (this.#planned.has(name)) return this.#planned.get(name);
    const step = this.#composition.steps[name];
    if (step === undefined) return undefined;
    const planned = 'version' in step ? this.#version(name, step, path) : this.#joining(name, step, path);
    this.#planned.set(name, planned);
    if (planned !== undefined) this.steps.push(planned);
    return planned;
  }

  outputs(): Plan['outputs'] {
    return Object.entries(this.#composition.outputs).flatMap(([name, reference]) => {
      const source = this.#resolve(reference, `outputs.${name}`, []);
      return source === undefined ? [] : [{ name, source }];
    });
  }

  #version(name: string, step: VersionStep, path: readonly string[]): PlannedStep | undefined {
    const signature = this.#parts.get(name);
    if (signature === undefined) throw new AssayError('INTERNAL', `the version of step ${name} was not opened`);
    const inputs = step.inputs ?? {};
    for (const input of Object.keys(inputs)) {
      if (signature.features.some((feature) => feature.name === input)) continue;
      const meant = nearest(
        input,
        signature.features.map((feature) => feature.name),
      );
      this.#problem(
        `steps.${name}.inputs.${input}`,
        `${step.version} takes no feature ${quote(input)}${meant === undefined ? '' : `; did you mean ${quote(meant)}?`}`,
      );
    }
    const sources = signature.features.map((feature): Source | undefined => {
      const place = `steps.${name}.inputs.${feature.name}`;
      const given = Object.hasOwn(inputs, feature.name) ? inputs[feature.name] : undefined;
      if (typeof given === 'string') {
        const source = this.#resolve(given, place, [...path, name]);
        if (source !== undefined) this.#checkFits(source, feature, place);
        return source;
      }
      const taken = given?.feature ?? feature.name;
      this.taken.push({ step: name, name: taken, feature, place });
      return { kind: 'feature', name: taken };
    });
    return this.#finish(name, step, sources, () =>
      signature.outputs.map((output): GivenValue => ({ step: name, output })),
    );
  }

  #joining(name: string, step: JoiningStep, path: readonly string[]): PlannedStep | undefined {
    const references = referencesOf(step);
    const sources = references.map(({ place, reference }) =>
      this.#resolve(reference, `steps.${name}.${place}`, [...path, name]),
    );
    return this.#finish(name, step, sources, (known) => {
      const values = known.flatMap((source, i) =>
        source.kind === 'value' ? [{ ...shownAs(source), place: `steps.${name}.${references[i]?.place}` }] : [],
      );
      const result = resultOf(step, values, `steps.${name}`);
      if ('problems' in result) {
        this.#problems.push(...result.problems);
        return undefined;
      }
      return [{ step: name, output: { ...result, name: '' } }];
    });
  }

  #finish(
    name: string,
    step: CompositionStep,
    sources: readonly (Source | undefined)[],
    givesOf: (sources: readonly Source[]) => readonly GivenValue[] | undefined,
  ): PlannedStep | undefined {
    const known = sources.filter((source) => source !== undefined);
    if (known.length < sources.length) return undefined;
    const gives = givesOf(known);
    return gives === undefined ? undefined : { name, step, signature: this.#parts.get(name), sources: known, gives };
  }

  /** What a reference names; undefined where it, or the step that it names, has a problem that is noted. */
  #resolve(reference: string, place: string, path: readonly string[]): (Source & { kind: 'value' }) | undefined {
    const [, stepName = '', rest = ''] = /^([^.[]*)(.*)$/s.exec(reference) ?? [];
    if (!Object.hasOwn(this.#composition.steps, stepName)) {
      const meant = nearest(stepName, Object.keys(this.#composition.steps));
      const hint = meant === undefined ? '' : `; did you mean ${quote(meant)}?`;
      return this.#problem(place, `there is no step ${quote(stepName)}${hint}`);
    }
    this.used.add(stepName);
    if (path.includes(stepName)) {
      return this.#problem(
        place,
        `goes round in a circle: ${[...path.slice(path.indexOf(stepName)), stepName].join(' → ')}`,
      );
    }
    const step = this.plan(stepName, path);
    if (step === undefined) return undefined;
    const { value, position } = valueNamed(step, rest);
    if (value === undefined) {
      const names = step.gives.map(({ output }) => `${stepName}.${output.name}`);
      const wants = 'version' in step.step ? `it gives ${names.join(', ')}` : 'it gives one value, which has its name';
      return this.#problem(place, `${quote(reference)} is nothing that step ${quote(stepName)} gives; ${wants}`);
    }
    const { shape } = value.output;
    if (position !== undefined && (shape.length !== 1 || position >= (shape[0] ?? 0))) {
      return this.#problem(
        place,
        `${quote(reference)} has no position ${position}: it is ${describeType(value.output)}`,
      );
    }
    return { kind: 'value', value, position };
  }

  #checkFits(source: Source & { kind: 'value' }, feature: Feature, place: string): void {
    const { dtype, shape } = shownAs(source);
    const sameShape = shape.length === feature.shape.length && shape.every((size, i) => size === feature.shape[i]);
    const sameDtype = dtype === feature.dtype || (isFloat(dtype) && isFloat(feature.dtype));
    if (sameShape && sameDtype) return;
    this.#problem(place, `takes ${describeType(feature)}, and gets ${describeType({ dtype, shape })}`);
  }

  #problem(place: string, message: string): undefined {
    this.#problems.push({ place, message });
    return undefined;
  }
}

/** `rest` is what stands behind the step's name: `.probabilities[1]`, `[1]`, or nothing. */
function valueNamed(step: PlannedStep, rest: string): { value?: GivenValue; position: number | undefined } {
  const named = (text: string): GivenValue | undefined => {
    if (text !== '') return step.gives.find(({ output }) => 'version' in step.step && text === `.${output.name}`);
    return step.gives.length === 1 ? step.gives[0] : undefined;
  };
  const whole = named(rest);
  if (whole !== undefined) return { value: whole, position: undefined };
  const [, text, digits] = /^(.*)\[(\d{1,9})\]$/s.exec(rest) ?? [];
  const value = text === undefined ? undefined : named(text);
  return { ...(value === undefined ? {} : { value }), position: digits === undefined ? undefined : Number(digits) };
}

function referencesOf(step: JoiningStep): readonly { readonly place: string; readonly reference: string }[] {
  const list = (key: string, references: readonly string[]) =>
    references.map((reference, i) => ({ place: `${key}[${i}]`, reference }));
  if ('mean' in step) return list('mean', step.mean);
  if ('vote' in step) return list('vote', step.vote);
  if ('concat' in step) return list('concat', step.concat);
  if ('label' in step) return [{ place: 'label', reference: step.label }];
  if ('platt' in step) return [{ place: 'platt', reference: step.platt }];
  return [{ place: 'isotonic', reference: step.isotonic }];
}

function isFloat(dtype: string): boolean {
  return dtype === 'float32' || dtype === 'float64';
}

function quote(name: string): string {
  return JSON.stringify(name);
}
