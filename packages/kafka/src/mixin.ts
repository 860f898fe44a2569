/** A class that another one is made of: its constructor takes whatever that of its base takes. */
// biome-ignore lint/suspicious/noExplicitAny: TypeScript takes no other type for the constructor of a mixin's base (TS2545)
export type ClassOf<Instance> = new (...given: any[]) => Instance;
