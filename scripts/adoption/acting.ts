import type pg from 'pg';
import { codeOf, Failure } from '../lib/explain.ts';
import type { Live } from '../lib/live.ts';
import { become, ident } from '../lib/roles.ts';

/** Who reads the app's tables and who writes the ledger: two roles in one transaction. */
export class Acting {
  readonly live: Live;
  private readonly client: pg.ClientBase;

  constructor(client: pg.ClientBase, live: Live) {
    this.client = client;
    this.live = live;
  }

  /** As the owner of the ledger. */
  async owner<T = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<T[]> {
    await become(this.client, this.live.owner);
    const { rows } = await this.client.query(text, values);
    await become(this.client, this.live.user);
    return rows;
  }

  /** As the connected user. */
  async user<T = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<T[]> {
    return (await this.client.query(text, values)).rows;
  }

  /** May the user act as the owner, and does the ledger that is deployed know how to import? */
  async check() {
    const { owner, user } = this.live;
    try {
      await become(this.client, owner);
    } catch (error) {
      if (codeOf(error) !== '42501') throw error;
      const grant = `grant ${ident(owner)} to ${ident(user)};`;
      throw new Failure(
        `${user} may not act as ${owner}, who owns the ledger: an administrator must run: ${grant}`,
        '42501',
      );
    }
    await become(this.client, user);
    const [known] = await this.owner(
      `select pg_catalog.to_regprocedure('credits_private.begin_import(text)') is not null as is_there`,
    );
    if (!known?.is_there)
      throw new Failure('the deployed pg-credits cannot import yet: run pg-credits deploy first');
  }
}
