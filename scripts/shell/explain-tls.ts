import { printable } from './format.ts';

const field = (error: unknown, name: 'code' | 'message' | 'severity'): string => {
  const first = error instanceof AggregateError ? error.errors[0] : error;
  return String((first as Record<string, unknown> | undefined)?.[name] ?? '');
};

/** What node-postgres says when the server refuses to encrypt. */
export const lacksTls = (error: unknown): boolean =>
  /does not support SSL|establishing an SSL connection/.test(field(error, 'message'));

/** May the other way, with or without encryption, succeed? Not where no server answers, or where the login was accepted. */
export function mayFallBack(error: unknown, encrypted: boolean): boolean {
  if (field(error, 'severity') !== '') return field(error, 'code').startsWith('28');
  const unreachable = /^(E(CONNREFUSED|NOENT|TIMEDOUT|HOSTUNREACH|NETUNREACH|NOTFOUND|AI_AGAIN))$/;
  return (
    encrypted &&
    !unreachable.test(field(error, 'code')) &&
    !/timeout expired/.test(field(error, 'message'))
  );
}

const untrusted =
  /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?)|CERT_SIGNATURE_FAILURE)$/;

/** Explains a failure of the encryption; `root` is the certificate that the server's is checked against. */
export function aboutTls(code: string, line: string, at: string, root?: string) {
  if (/establishing an SSL/.test(line))
    return `${at} answered the request for encryption with an error: is it a Postgres server?`;
  if (lacksTls({ message: line }))
    return `the server at ${at} does not encrypt: use sslmode=disable, if the network may be trusted`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `the certificate of ${at} is for other names (${printable(line)}): connect by one of them, or use sslmode=verify-ca, which checks no name`;
  if (untrusted.test(code)) {
    const store = root === undefined || root === 'system' ? 'the system' : root;
    return `the certificate of ${at} was not issued by one that ${store} has (${line}): sslrootcert=FILE names its issuer's`;
  }
  if (/^(CERT_|CRL_|UNABLE_TO_|ERR_TLS)/.test(code))
    return `the certificate of ${at} was not accepted (${line})`;
  if (/alert/i.test(line) && /^ERR_SSL/.test(code))
    return `the server at ${at} broke off the encryption (${line}): if it asks for a certificate, sslcert and sslkey name it`;
  if (/^ERR_(OSSL|SSL|CRYPTO)/.test(code))
    return `no encryption with ${at} (${line}): check sslcert, sslkey, sslpassword and sslrootcert`;
  return undefined;
}
