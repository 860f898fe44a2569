/** Whether a prediction that was scored again has the same bits: both sides as exact texts, output by output. */

/**
 * The outputs that differ, by name: those only one side has too.
 * @param logged output → its value as exact JSON text, in which equal texts are equal bits
 */
export function differingOutputs(logged: ReadonlyMap<string, string>, replayed: ReadonlyMap<string, string>): string[] {
  const names = new Set([...logged.keys(), ...replayed.keys()]);
  return [...names].filter((name) => logged.get(name) !== replayed.get(name));
}
