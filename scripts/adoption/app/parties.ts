import type pg from 'pg';
import { allRows, readOnly } from '../../postgres/live.ts';
import { become, canBecome, grantTo, ident, readGround } from '../../postgres/roles.ts';
import { readSchemas } from '../../postgres/schemas.ts';
import { Failure } from '../../shell/explain.ts';

/** The connected user has the app's tables, the owner of credits the ledger. */
export interface Parties {
  user: string;
  owner: string;
  /** Milliseconds for which we may stand in the app's way: shorter than it takes to call it a deadlock. */
  patience: number;
}

export async function readParties(client: pg.ClientBase): Promise<Parties> {
  const ground = await readGround(client);
  const { user, database, superuser, deadlockTimeout } = ground;
  const owner = (await readSchemas(client)).owners.get('credits');
  if (owner === undefined)
    throw new Failure(`no pg-credits in database ${database}: run pg-credits deploy first`);
  if (!superuser && owner !== user && !(await canBecome(client, ground, owner)))
    throw new Failure(
      `${user} may not act as ${owner}, who has the ledger: an administrator must run: ` +
        grantTo(ground, owner, ident(user)),
      '42501',
    );
  return { user, owner, patience: Math.max(1, Math.min(2000, Math.floor(deadlockTimeout / 2))) };
}

/** Reads only, as of one moment, as the connected user. */
export const readAsUser = <T>(
  client: pg.ClientBase,
  { user }: Parties,
  look: () => Promise<T>,
): Promise<T> =>
  readOnly(client, async () => {
    await become(client, user);
    await client.query(allRows);
    return look();
  });

/** What is done with the ledger. An error ends the transaction, and the role with it. */
export async function asOwner<T>(
  client: pg.ClientBase,
  { user, owner }: Parties,
  work: () => Promise<T>,
): Promise<T> {
  await become(client, owner);
  const result = await work();
  await become(client, user);
  return result;
}

/** The schema credits_adoption, if there is one. */
export async function findAdoption(
  client: pg.ClientBase,
): Promise<{ owner: string; hasAccounts: boolean } | undefined> {
  // By name: to_regclass wants the right to look into the schema.
  const { rows } = await client.query(
    `select pg_catalog.pg_get_userbyid(n.nspowner) as owner, exists (
        select from pg_catalog.pg_class as c
        where c.relnamespace operator(pg_catalog.=) n.oid
          and c.relname operator(pg_catalog.=) 'accounts') as "hasAccounts"
      from pg_catalog.pg_namespace as n where n.nspname operator(pg_catalog.=) 'credits_adoption'`,
  );
  return rows[0];
}

/** Whether anything was adopted or shadowed here, and not forgotten. */
export const hasAdoption = async (client: pg.ClientBase): Promise<boolean> =>
  (await findAdoption(client))?.hasAccounts ?? false;

/** Whether any account is adopted: from then on the ledger has what the app's tables have lost. */
export async function hasAdopted(client: pg.ClientBase, parties: Parties): Promise<boolean> {
  if (!(await hasAdoption(client))) return false;
  const { rows } = await asOwner(client, parties, () =>
    client.query('select exists (select from credits_adoption.accounts) as found'),
  );
  return rows[0].found;
}
