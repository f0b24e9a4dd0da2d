/** HTTP proxies between us and a Temporal server, as grpc-js takes them from the environment. */
import { isIPv4 } from 'node:net';

/** In the order in which grpc-js looks for them. */
const VARIABLES = ['grpc_proxy', 'https_proxy', 'http_proxy'];

/** Whether `host:port` is on this host, which no proxy can reach for us. */
export function isLoopback(address: string): boolean {
  const host = hostOf(address);
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** `10.0.0.1:3128 of https_proxy`, without its password; null where no proxy is used, or none can be read. */
export function proxyFor(address: string): string | null {
  const name = VARIABLES.find((each) => (process.env[each] ?? '') !== '');
  if (name === undefined || isLoopback(address)) return null;
  const url = process.env[name] ?? '';
  return URL.canParse(url) ? `${new URL(url).host} of ${name}` : null;
}

const hostOf = (address: string): string =>
  /^(?:\w+:\/\/)?\[?(.*?)\]?(?::\d+)?$/u.exec(address)?.[1] ?? address;
