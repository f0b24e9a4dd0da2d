/** Finds out why a Temporal server cannot be reached. gRPC retries until its deadline and does not report the reason. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { ServerAddress } from './server-address';

const ANSWER_MS = 2_000;
/** With TLS 1.3 a server refuses our certificate only after the handshake. */
const ALERT_MS = 500;

/** OpenSSL's error codes and what they mean here. */
const ALERTS: [RegExp, string][] = [
  [/CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/u, 'it requires a client certificate, and none is configured'],
  [/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE|DECRYPT)/u, 'it rejects the client certificate'],
  [/WRONG_VERSION_NUMBER|PACKET_LENGTH/u, 'it does not speak TLS, and TLS is configured'],
];

/** @returns the reason; null if plain TCP and TLS both work */
export async function whyUnreachable({ address, options }: ServerAddress): Promise<string | null> {
  const [, host = '', port = ''] = /^(?:\w+:\/\/)?\[?(.*?)\]?:(\d+)$/u.exec(address) ?? [];
  const at = { host, port: Number(port) };
  const plain = await attempt(() => connectTcp(at), 'connect');
  if (plain !== null) return plain;
  const tls = options.tls ?? false;
  if (tls !== false) {
    return attempt(
      () => connectTls({ ...at, ...secured(host, tls === true ? {} : tls) }),
      'secureConnect',
      ALERT_MS,
    );
  }
  const open = () => connectTls({ ...at, ...secured(host, {}), rejectUnauthorized: false });
  const speaksTls = (await attempt(open, 'secureConnect')) === null;
  return speaksTls ? 'it speaks TLS, and neither TEMPORAL_TLS nor a certificate is configured' : null;
}

function secured(
  host: string,
  tls: Exclude<NonNullable<ServerAddress['options']['tls']>, boolean>,
): ConnectionOptions {
  const { serverRootCACertificate: ca, clientCertPair: pair, serverNameOverride } = tls;
  const name = serverNameOverride ?? host;
  return {
    ALPNProtocols: ['h2'],
    // SNI may not be an IP address (RFC 6066). Node still checks the certificate.
    ...(/^[\d.]+$|:/u.test(name) ? {} : { servername: name }),
    ...(ca ? { ca: Buffer.from(ca) } : {}),
    ...(pair ? { cert: Buffer.from(pair.crt), key: Buffer.from(pair.key) } : {}),
  };
}

/** Opens a connection, waits for `event`, then `refusalMs` for a refusal. @returns the failure, or null */
async function attempt(open: () => Socket, event: string, refusalMs = 0): Promise<string | null> {
  let socket: Socket | null = null;
  try {
    socket = open();
    const failed = once(socket, 'close').then(() => 'it closed the connection');
    failed.catch(() => undefined);
    const signal = AbortSignal.timeout(ANSWER_MS);
    await once(socket, event, { signal });
    if (refusalMs === 0) return null;
    // Node reports a TLS alert only while reading.
    socket.resume();
    return await Promise.race([failed, sleep(refusalMs, null)]);
  } catch (error) {
    return reasonOf(error);
  } finally {
    socket?.on('error', () => undefined).destroy();
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const meaning = ALERTS.find(([pattern]) => pattern.test(code))?.[1];
  if (meaning !== undefined) return `${meaning} (${code})`;
  if (error.name === 'AbortError') return `no answer within ${ANSWER_MS / 1000} s`;
  if (/CERT|SIGNED|ISSUER|ALTNAME|LEAF/u.test(code))
    return `its certificate is not trusted: ${error.message} (${code})`;
  return error.message === '' ? code : error.message;
}
