import type pg from 'pg';
import { Failure } from '../../shell/explain.ts';
import { asOwner, type Parties } from './parties.ts';

/** Who reads the app's tables and who writes the ledger: two roles in one transaction. */
export class Acting {
  private readonly client: pg.ClientBase;
  private readonly parties: Parties;

  constructor(client: pg.ClientBase, parties: Parties) {
    this.client = client;
    this.parties = parties;
  }

  /** As the owner of the ledger. */
  owner<T = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<T[]> {
    return asOwner(this.client, this.parties, () => this.user<T>(text, values));
  }

  /** As whoever it is: the connected user, but within owner(). */
  async user<T = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<T[]> {
    return (await this.client.query(text, values)).rows;
  }

  /** Does the ledger that is deployed know how to import? */
  async check() {
    const [known] = await this.owner(
      `select pg_catalog.to_regprocedure('credits_private.begin_import(text)') is not null as is_there`,
    );
    if (!known?.is_there)
      throw new Failure('the deployed pg-credits cannot import yet: run pg-credits deploy first');
  }
}
