import type pg from 'pg';
import { connect } from '../../scripts/postgres/connect.ts';
import { readOnly } from '../../scripts/postgres/live.ts';
import { readSnapshot } from '../../scripts/snapshot/snapshot.ts';

/** A server to make databases on, seen by a superuser. */
export interface Place {
  server: pg.Client;
  serverUrl: string;
}

export interface Scratch {
  name: string;
  url: string;
  /** A superuser's connection, under another name than a deploy's. */
  admin: pg.Client;
  /** Lets go of the connection; drop() does so and drops the database. */
  leave(): Promise<void>;
  drop(): Promise<void>;
}

let made = 0;

export async function createScratch(place: Place, template = 'template0'): Promise<Scratch> {
  made += 1;
  const name = `scratch_${made}`;
  await place.server.query(`create database ${name} template ${template}`);
  const url = new URL(place.serverUrl);
  url.pathname = `/${name}`;
  const admin = await connect({ connectionString: url.href, application_name: 'torture' });
  return {
    name,
    url: url.href,
    admin,
    leave: () => admin.end(),
    async drop() {
      await admin.end();
      await place.server.query(`drop database ${name} with (force)`);
    },
  };
}

export const snapshotOf = ({ admin }: Scratch): Promise<string> =>
  readOnly(admin, (live) => readSnapshot(admin, live.rolePrefix));
