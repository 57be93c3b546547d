import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import type pg from 'pg';
import { connect } from '../../scripts/postgres/connect.ts';
import { startProxy } from '../postgres/proxy.ts';
import type { Driver } from './driver.ts';
import { spreadOf } from './statistics.ts';

export type Facts = Awaited<ReturnType<typeof readFacts>>;

const shown = [
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'data_checksums',
  'wal_sync_method',
  'shared_buffers',
  'max_wal_size',
  'checkpoint_timeout',
  'autovacuum',
];

/** What a figure depends on besides the measured code. */
export async function readFacts(admin: pg.Client, isOwn: boolean, driver: Driver) {
  const { rows } = await admin.query(
    `select version(), json_object_agg(name, current_setting(name)) as settings
     from pg_settings where name = any ($1)`,
    [shown],
  );
  return {
    server: isOwn ? 'embedded, started for this' : `${admin.host}:${admin.port}`,
    version: String(rows[0].version),
    build: await readBuild(admin),
    settings: rows[0].settings as Record<string, string>,
    client: {
      driver: driver.name,
      node: process.versions.node,
      kernel: `${type()} ${release()}`,
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      memory_gb: Math.round(totalmem() / 2 ** 30),
    },
  };
}

/** The compiler's flags matter: -Os in a small download, -O2 in a distribution. Only a superuser may read them. */
async function readBuild(admin: pg.Client): Promise<Record<string, string> | null> {
  try {
    const { rows } = await admin.query(
      `select name, setting from pg_config where name in ('CONFIGURE', 'CFLAGS')`,
    );
    return Object.fromEntries(rows.map(({ name, setting }) => [name.toLowerCase(), setting]));
  } catch {
    return null;
  }
}

export function describeFacts(facts: Facts): string[] {
  const { settings, client, build } = facts;
  const names = ['fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums'];
  const optimised = / (-O\w*)(?!.* -O)/.exec(` ${build?.cflags ?? ''}`)?.[1];
  return [
    `${facts.version.split(' (')[0]?.split(' on ')[0]} (${facts.server}${optimised ? `, built with ${optimised}` : ''})`,
    names.map((name) => `${name} ${settings[name]}`).join(', '),
    `${client.cores} cores (${client.cpu}), ${client.memory_gb} GB, ${client.kernel}`,
    `driven by ${client.driver}: compare no figures of different drivers`,
  ];
}

export interface RoundTrip {
  direct_ms: number;
  added_ms: number;
}

/** What the proxy really adds: a timer of one millisecond takes a little longer. */
export async function measureRoundTrip(url: string, delayMs: number): Promise<RoundTrip> {
  const proxy = await startProxy(url, { delayMs });
  const near = await connect({ connectionString: url });
  const far = await connect({ connectionString: proxy.url });
  const [direct, added]: [number[], number[]] = [[], []];
  try {
    for (let i = 0; i < 200; i += 1) {
      const time = await roundTrip(near);
      direct.push(time);
      added.push((await roundTrip(far)) - time);
    }
  } finally {
    await Promise.allSettled([near.end(), far.end()]);
    await proxy.close();
  }
  return { direct_ms: spreadOf(direct).median, added_ms: spreadOf(added).median };
}

async function roundTrip(client: pg.Client): Promise<number> {
  const begun = performance.now();
  await client.query({ name: 'nothing', text: 'select 1' });
  return performance.now() - begun;
}
