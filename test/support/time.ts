/** Moments of tests are microseconds since 1970: a Date has no more than milliseconds. */
export const HOUR = 3_600_000_000;
export const DAY = 24 * HOUR;
export const us = (iso: string): number => Date.parse(iso) * 1000;
export const moment = (at: number): string => {
  const seconds = new Date(Math.floor(at / 1000)).toISOString().slice(0, -1);
  return `${seconds}${String(at % 1000).padStart(3, '0')}Z`;
};

/** A zone in which it is noon, so that no day and no period ends while a test runs. */
export const noon = (): string => {
  const offset = 12 - new Date().getUTCHours();
  return `Etc/GMT${offset > 0 ? '-' : '+'}${Math.abs(offset)}`;
};
