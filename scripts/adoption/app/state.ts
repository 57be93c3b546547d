import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { revokeAll } from '../../deploy/privileges.ts';
import { waitForTurn } from '../../deploy/turns.ts';
import { become, ident } from '../../postgres/roles.ts';
import { readSchemas } from '../../postgres/schemas.ts';
import { runFile } from '../../postgres/script.ts';
import { codeOf, Failure } from '../../shell/explain.ts';
import { findAdoption } from './parties.ts';

/**
 * Makes the schema credits_adoption unless it is there, in the caller's transaction, as a user that may act as the
 * owner of credits. Of two at once, one waits for the other's commit.
 */
export async function ensureAdoption(client: pg.ClientBase): Promise<void> {
  const owner = await ownerOfCredits(client);
  if (await isThere(client, owner)) return;
  await waitForTurn(client, 'adoption');
  if (await isThere(client, owner)) return;
  await createSchema(client, owner);
  const path = fileURLToPath(new URL('adoption.sql', import.meta.url));
  const { rows } = await client.query('select current_user as user');
  await become(client, owner);
  await runFile(client, { path: 'adoption.sql', text: readFileSync(path, 'utf8') });
  await client.query(revokeAll([], ['credits_adoption']));
  await become(client, rows[0].user);
}

/** By the user: the owner may have been given no right to. */
async function createSchema(client: pg.ClientBase, owner: string) {
  try {
    await client.query(`create schema credits_adoption authorization ${ident(owner)}`);
  } catch (error) {
    if (codeOf(error) !== '42501') throw error;
    await client.query('rollback');
    const { rows } = await client.query('select current_user as user, current_database() as name');
    const [{ user, name }] = rows;
    throw new Failure(
      `${user} may not create the schema credits_adoption: an administrator must run: ` +
        `grant create on database ${ident(name)} to ${ident(user)};`,
      '42501',
    );
  }
}

async function ownerOfCredits(client: pg.ClientBase): Promise<string> {
  const owner = (await readSchemas(client)).owners.get('credits');
  if (owner === undefined)
    throw new Failure('no pg-credits in this database: run pg-credits deploy first');
  return owner;
}

async function isThere(client: pg.ClientBase, owner: string): Promise<boolean> {
  const found = await findAdoption(client);
  if (found && found.owner !== owner)
    throw new Failure(
      `schema credits_adoption exists and belongs to ${found.owner}, not to ${owner}: rename or drop it`,
    );
  return found !== undefined;
}
