import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import tls from 'node:tls';
import { Failure, UsageError } from '../shell/explain.ts';
import type { Settings } from './conninfo.ts';
import { ownFile } from './settings.ts';

// TLS as in libpq: the mode says whether to encrypt and what to check; a root certificate that exists is always checked
// against the server's; and `allow` and `prefer` try a second way if the first one fails.

const modes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type Mode = (typeof modes)[number];
export type Encryption = false | tls.ConnectionOptions;

/** What to try, in order. A Unix socket needs no encryption: nobody can listen in. */
export function encryptions(settings: Settings, host: string): Encryption[] {
  const mode = modeOf(settings);
  if (host.startsWith('/') || mode === 'disable') return [false];
  const encrypted = optionsOf(settings, mode, host);
  if (mode === 'allow') return [false, encrypted];
  return mode === 'prefer' ? [encrypted, false] : [encrypted];
}

export function modeOf(settings: Settings): Mode {
  const { sslrootcert, sslnegotiation } = settings;
  const system = sslrootcert === 'system';
  const given = settings.sslmode ?? (system ? 'verify-full' : 'prefer');
  // node-postgres's word for what libpq calls require.
  const mode = given === 'no-verify' ? 'require' : modes.find((each) => each === given);
  if (mode === undefined)
    throw new UsageError(`sslmode is one of ${modes.join(', ')}, not ${given}`);
  if (system && mode !== 'verify-full')
    throw new UsageError(`sslrootcert=system is for sslmode=verify-full, not ${mode}`);
  if (sslnegotiation !== undefined && !/^(postgres|direct)$/.test(sslnegotiation))
    throw new UsageError(`sslnegotiation is postgres or direct, not ${sslnegotiation}`);
  if (sslnegotiation === 'direct' && modes.indexOf(mode) < modes.indexOf('require'))
    throw new UsageError(`sslnegotiation=direct is for sslmode=require and above, not ${mode}`);
  return mode;
}

function optionsOf(settings: Settings, mode: Mode, host: string): tls.ConnectionOptions {
  // libpq would refuse verify-full without a file; what else could be meant than the system's?
  const fallback = mode === 'verify-full' ? 'system' : undefined;
  const root = settings.sslmode === 'no-verify' ? undefined : (rootOf(settings) ?? fallback);
  if (root === undefined && mode === 'verify-ca')
    throw new Failure(
      `sslmode=verify-ca needs a root certificate: add sslrootcert=FILE, or put it in ${defaults.root()}`,
    );
  const ca = root === undefined ? undefined : certificatesOf(root);
  return {
    rejectUnauthorized: root !== undefined,
    ...(ca === undefined ? {} : { ca }),
    ...revoked(settings),
    ...ownCertificate(settings),
    ...versions(settings),
    ...(isIP(host) ? {} : { servername: host }),
    checkServerIdentity: (_, certificate) =>
      mode === 'verify-full' ? checkName(host, certificate) : undefined,
  };
}

const defaults = {
  root: () => ownFile('.postgresql/root.crt'),
  revoked: () => ownFile('.postgresql/root.crl'),
  certificate: () => ownFile('.postgresql/postgresql.crt'),
  key: () => ownFile('.postgresql/postgresql.key'),
};

const thereOr = (given: string | undefined, file: string) =>
  given ?? (existsSync(file) ? file : undefined);

/** The file that the server's certificate is held against, or 'system'. */
export const rootOf = ({ sslrootcert }: Settings) => thereOr(sslrootcert, defaults.root());

/** A named file that is missing is an error: going on unverified is not what the user meant. */
function read(name: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Failure(`${name}: ${code === 'ENOENT' ? `no file ${file}` : message}`, code);
  }
}

/** The certificates that the system trusts, where OpenSSL keeps them; without these, Node's own. */
function certificatesOf(root: string): Buffer | undefined {
  if (root !== 'system') return read('sslrootcert', root);
  const bundles = [
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/pki/tls/cert.pem',
    '/etc/ssl/cert.pem',
  ];
  const file = process.env.SSL_CERT_FILE || bundles.find((each) => existsSync(each));
  return file === undefined ? undefined : read('sslrootcert=system', file);
}

function revoked({ sslcrl }: Settings): tls.ConnectionOptions {
  const file = thereOr(sslcrl, defaults.revoked());
  return file === undefined ? {} : { crl: read('sslcrl', file) };
}

function ownCertificate(settings: Settings): tls.ConnectionOptions {
  const { sslcert, sslkey, sslpassword, sslcertmode } = settings;
  const file = sslcertmode === 'disable' ? undefined : thereOr(sslcert, defaults.certificate());
  if (file === undefined) return {};
  const cert = read('sslcert', file);
  const key = read('sslkey', sslkey ?? defaults.key());
  return { cert, key, ...(sslpassword === undefined ? {} : { passphrase: sslpassword }) };
}

function versions(settings: Settings): tls.ConnectionOptions {
  const version = (name: 'ssl_min_protocol_version' | 'ssl_max_protocol_version') => {
    const value = settings[name];
    if (value !== undefined && !/^TLSv1(\.[1-3])?$/.test(value))
      throw new UsageError(`${name} is one of TLSv1, TLSv1.1, TLSv1.2, TLSv1.3, not ${value}`);
    return value as tls.SecureVersion | undefined;
  };
  const max = version('ssl_max_protocol_version');
  const minVersion = version('ssl_min_protocol_version') ?? 'TLSv1.2';
  return { minVersion, ...(max === undefined ? {} : { maxVersion: max }) };
}

function checkName(host: string, certificate: tls.PeerCertificate): Error | undefined {
  const wrong = isIP(host)
    ? !isForAddress(host, certificate)
    : tls.checkServerIdentity(host, certificate);
  if (!wrong) return undefined;
  const names = certificate.subjectaltname ?? `CN=${[certificate.subject.CN].flat().join(', ')}`;
  return Object.assign(new Error(names), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}

/** Self-made certificates may have an address where a name belongs. */
function isForAddress(host: string, certificate: tls.PeerCertificate): boolean {
  const x509 = new X509Certificate(certificate.raw);
  if (x509.checkIP(host)) return true;
  const lists = /IP Address:/.test(x509.subjectAltName ?? '');
  return !lists && x509.checkHost(host, { subject: 'always' }) !== undefined;
}
