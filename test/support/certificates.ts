import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { isIPv4 } from 'node:net';

// Certificates for tests, written byte by byte: not every machine has an openssl, and Node makes none.

export interface Certificate {
  certificate: string;
  key: string;
  serial: Buffer;
}

export interface Authority extends Certificate {
  name: string;
}

export interface Subject {
  name: string;
  /** Host names and addresses. */
  names?: string[];
  /** When it ends; a year from now. */
  until?: Date;
}

const der = (tag: number, ...parts: Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  const { length } = body;
  if (length < 128) return Buffer.concat([Buffer.from([tag, length]), body]);
  const size = length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
};
const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const octets = (...parts: Buffer[]) => der(0x04, ...parts);
const yes = der(0x01, Buffer.from([0xff]));
const time = (date: Date) => der(0x18, Buffer.from(date.toISOString().replace(/[-:T]|\.\d+/g, '')));

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const commonName = (name: string) =>
  sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(name)))));

const alternative = (name: string) =>
  isIPv4(name) ? der(0x87, Buffer.from(name.split('.').map(Number))) : der(0x82, Buffer.from(name));

function extensions(isAuthority: boolean, names: string[]): Buffer {
  const list = [sequence(oid('551d13'), yes, octets(sequence(...(isAuthority ? [yes] : []))))];
  if (names.length > 0)
    list.push(sequence(oid('551d11'), octets(sequence(...names.map(alternative)))));
  return der(0xa3, sequence(...list));
}

const pem = (what: string, bytes: Buffer) =>
  [
    `-----BEGIN ${what}-----`,
    ...(bytes.toString('base64').match(/.{1,64}/g) ?? []),
    `-----END ${what}-----`,
    '',
  ].join('\n');

/** The contents, who signed them. */
function signed(contents: Buffer, key: KeyObject): Buffer {
  const signature = der(0x03, Buffer.from([0]), sign('sha256', contents, key));
  return sequence(contents, ecdsaWithSha256, signature);
}

function make(subject: Subject, isAuthority: boolean, issuer?: Authority): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const until = subject.until ?? new Date(Date.now() + 365 * day);
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(8)]);
  const contents = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ecdsaWithSha256,
    commonName(issuer?.name ?? subject.name),
    sequence(time(new Date(until.getTime() - 366 * day)), time(until)),
    commonName(subject.name),
    publicKey.export({ type: 'spki', format: 'der' }),
    extensions(isAuthority, subject.names ?? []),
  );
  return {
    certificate: pem(
      'CERTIFICATE',
      signed(contents, issuer ? createPrivateKey(issuer.key) : privateKey),
    ),
    serial,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

const day = 86_400_000;

export const makeAuthority = (name: string): Authority => ({ ...make({ name }, true), name });

/** Without an issuer it signs itself. */
export const makeCertificate = (subject: Subject, issuer?: Authority): Certificate =>
  make(subject, false, issuer);

/** An authority's list of what it has taken back. */
export function makeRevocations(issuer: Authority, revoked: Certificate[]): string {
  const [from, to] = [new Date(Date.now() - day), new Date(Date.now() + day)];
  const entries = revoked.map(({ serial }) => sequence(der(0x02, serial), time(from)));
  const contents = sequence(
    der(0x02, Buffer.from([1])),
    ecdsaWithSha256,
    commonName(issuer.name),
    time(from),
    time(to),
    ...(entries.length > 0 ? [sequence(...entries)] : []),
  );
  return pem('X509 CRL', signed(contents, createPrivateKey(issuer.key)));
}
