import { deploy } from '../../scripts/deploy/deploy.ts';
import type { Finding } from '../../scripts/verify/checks.ts';
import { type Postgres, type PostgresOptions, startPostgres } from '../postgres/embedded.ts';
import { accounts, grant } from './calls.ts';
import { examine } from './examination.ts';
import type { Context, Rounds } from './fault.ts';
import { Journal } from './journal.ts';
import { type Load, startLoad } from './load.ts';
import { connectTo, Session } from './session.ts';

/** A durable server with the package, and its callers' answers. */
export class Ground {
  readonly journal = new Journal();
  readonly recoveries: number[] = [];
  readonly findings: Finding[] = [];
  rounds = 0;
  server: Postgres;
  private readonly context: Context;
  private replayed = 0;

  private constructor(server: Postgres, context: Context) {
    this.server = server;
    this.context = context;
  }

  get url(): string {
    return this.server.url;
  }

  static async prepare(context: Context, options: PostgresOptions = {}): Promise<Ground> {
    context.say('starting a Postgres of its own');
    const ground = new Ground(await startServer(context, options), context);
    const { url } = ground;
    await deploy({ connectionString: url });
    const client = await connectTo(url);
    await client.query('create schema app; create table app.requests (key text primary key)');
    await client.end();
    const session = new Session(() => url);
    for (const account of accounts) {
      const key = ground.journal.newKey();
      const call = grant({ kind: 'grant', account, key, amount: 500 });
      await session.carryOut(ground.journal, ground.journal.ask(call));
    }
    await session.end();
    return ground;
  }

  load(options: { url?: () => string; before?: () => string } = {}): Load {
    return startLoad({
      url: () => this.url,
      journal: this.journal,
      callers: this.context.small ? 8 : 16,
      seed: this.context.seed + this.rounds,
      ...options,
    });
  }

  /** The end of a round: true while all is well. */
  async examine(): Promise<boolean> {
    this.say('examining');
    this.rounds += 1;
    this.findings.push(...(await examine(this.url, this.journal, this.replayed)));
    this.replayed = this.journal.entries.length;
    return this.findings.length === 0;
  }

  say(what: string): void {
    const { calls } = this.journal.figures();
    this.context.say(`round ${this.rounds + 1}, ${calls} calls: ${what}`);
  }

  result(): Rounds {
    const { rounds, recoveries, findings } = this;
    return { rounds, recoveries, findings, totals: this.journal.figures() };
  }
}

export async function startServer(context: Context, options: PostgresOptions): Promise<Postgres> {
  const server = await startPostgres({ durable: true, major: context.major, ...options });
  context.defer(() => server.stop());
  return server;
}
