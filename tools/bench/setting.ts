import type { Scratch } from '../postgres/scratch.ts';
import type { Progress } from '../progress.ts';
import type { Driver } from './driver.ts';
import type { Options } from './options.ts';

/** What every measurement needs. */
export interface Setting {
  scratch: Scratch;
  driver: Driver;
  options: Options;
  progress: Progress;
  signal: AbortSignal;
}
