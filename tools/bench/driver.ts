export interface Run {
  url: string;
  /** A pgbench script. */
  script: string;
  variables: Record<string, number>;
  clients: number;
  /** Measured, after `rampUp`. */
  seconds: number;
  signal: AbortSignal;
}

export interface Outcome {
  /** How many were committed in all. */
  transactions: number;
  /** Excludes the beginning, when sessions compile functions and plan statements. */
  perSecond: number;
}

export interface Driver {
  name: string;
  run(run: Run): Promise<Outcome>;
}

/**
 * Seconds at the beginning of a run that are not measured, because an app's sessions live long. Each session takes
 * a while to compile its functions, and sessions share the cores.
 */
export const rampUp = (clients: number) => 1 + Math.ceil(clients / 8);
