/** What a command may touch of the process: tests hand it their own. */
export interface Io {
  /** What was asked for. */
  readonly out: (text: string) => void;
  /** Progress, notes and errors. */
  readonly err: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Paths of the user are relative to it. */
  readonly cwd: string;
  readonly readStdin: () => Promise<string>;
  /** Set where progress can be drawn over. */
  readonly terminal?: { readonly columns: number };
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}
