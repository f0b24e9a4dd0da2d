/** Which HTTP proxy grpc-js uses to reach a Temporal server. */
import { isIPv4 } from 'node:net';

/** In grpc-js's order. */
const VARIABLES = ['grpc_proxy', 'https_proxy', 'http_proxy'];

/** True if `host:port` is on this host, which no proxy can reach. */
export function isLoopback(address: string): boolean {
  const host = hostOf(address);
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** `10.0.0.1:3128 of https_proxy`, without the password; null if no proxy is used or its URL is invalid. */
export function proxyFor(address: string): string | null {
  const name = VARIABLES.find((each) => (process.env[each] ?? '') !== '');
  if (name === undefined || isLoopback(address)) return null;
  const url = process.env[name] ?? '';
  return URL.canParse(url) ? `${new URL(url).host} of ${name}` : null;
}

const hostOf = (address: string): string =>
  /^(?:\w+:\/\/)?\[?(.*?)\]?(?::\d+)?$/u.exec(address)?.[1] ?? address;
