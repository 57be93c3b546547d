import type pg from 'pg';
import type { Mapping } from '../mapping/mapping.ts';
import { timelineQuery } from './query.ts';

/** Sums from the beginning up to the end of a day or a month. */
export interface Point {
  /** 2026-03-01, or 2026-03. */
  at: string;
  /** How far the balances are above what the transactions sum to. */
  gaps: number;
  /** Debits that named no API key. */
  keyless: number;
}

/** By day, or by month when there are more than a hundred and twenty days. */
export async function readTimeline(client: pg.ClientBase, mapping: Mapping): Promise<Point[]> {
  const { rows } = await client.query(timelineQuery(mapping));
  const keylessOf = (row: { keyless: string }) =>
    mapping.transactions.api_key_id ? Number(row.keyless) : 0;
  const days = rows.filter((row) => row.day !== null);
  const width = days.length > 120 ? 7 : 10;
  const points = new Map<string, Point>();
  let [gaps, keyless] = [0, 0];
  for (const row of days) {
    gaps += Number(row.gaps);
    keyless += keylessOf(row);
    const at = row.day.slice(0, width);
    points.set(at, { at, gaps, keyless });
  }
  // What has no day happened some time up to now.
  const last = [...points.values()].at(-1);
  const open = rows.find((row) => row.day === null);
  if (last && open) {
    last.gaps += Number(open.gaps);
    last.keyless += keylessOf(open);
  }
  return [...points.values()];
}
