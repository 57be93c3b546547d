import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { owner, type Postgres, startPostgres } from '../../tools/postgres/embedded.ts';
import type { Certificate } from './certificates.ts';
import { withClient } from './connection.ts';

/** A server that encrypts, whose certificate and pg_hba.conf can be changed while it runs. */
export class TlsServer {
  readonly folder: string;
  private readonly postgres: Postgres;
  private reloads = 0;

  private constructor(folder: string, postgres: Postgres) {
    this.folder = folder;
    this.postgres = postgres;
  }

  static async start(major: number, certificate: Certificate, clients: Certificate) {
    const folder = mkdtempSync(join(tmpdir(), 'pg-credits test tls '));
    if (owner) chownSync(folder, owner.uid, owner.gid);
    chmodSync(folder, 0o755);
    write(folder, 'server.crt', certificate.certificate);
    write(folder, 'server.key', certificate.key);
    write(folder, 'clients.crt', clients.certificate);
    const settings = {
      ssl_cert_file: join(folder, 'server.crt'),
      ssl_key_file: join(folder, 'server.key'),
      ssl_ca_file: join(folder, 'clients.crt'),
      password_encryption: 'scram-sha-256',
    };
    const postgres = await startPostgres({ major, settings });
    const server = new TlsServer(folder, postgres);
    await server.encrypt(true);
    return server;
  }

  get port() {
    return this.postgres.port;
  }

  query(sql: string) {
    return withClient(`${this.postgres.url}?sslmode=disable`, (client) => client.query(sql));
  }

  /** Lines of pg_hba.conf, for user `app`; `postgres` is always let in. */
  async admit(...lines: string[]) {
    const own = 'host all postgres 127.0.0.1/32 trust';
    write(this.postgres.data, 'pg_hba.conf', [own, ...lines, ''].join('\n'));
    await this.reload();
  }

  async present({ certificate, key }: Certificate) {
    write(this.folder, 'server.crt', certificate);
    write(this.folder, 'server.key', key);
    await this.reload();
  }

  async encrypt(on: boolean) {
    await this.query(`alter system set ssl = ${on ? 'on' : 'off'}`);
    await this.reload();
  }

  async stop() {
    await this.postgres.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Waits until new connections see the change, which a setting changed along with it shows. */
  private async reload() {
    this.reloads += 1;
    await this.query(`alter system set log_line_prefix = '${this.reloads}'`);
    await this.query('select pg_reload_conf()');
    for (;;) {
      const { rows } = await this.query('show log_line_prefix');
      if (rows[0].log_line_prefix === String(this.reloads)) return;
      await sleep(5);
    }
  }
}

function write(folder: string, name: string, text: string) {
  const file = join(folder, name);
  writeFileSync(file, text, { mode: 0o600 });
  if (owner) chownSync(file, owner.uid, owner.gid);
}
