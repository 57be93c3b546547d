import type { AccountDiagnosis } from './diagnosis.ts';
import type { Moment } from './moment.ts';
import type { Point } from './timeline.ts';
import type { Totals } from './totals.ts';
export const drawPage = (_m: Moment, _t: Totals, _top: AccountDiagnosis[], _p: Point[]) => '';
export const writePage = (_f: string, _t: string) => {};
