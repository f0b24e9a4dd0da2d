/** fetch through the proxy that the environment names; Node 20's own fetch ignores it. */
import { EnvHttpProxyAgent, fetch as fetchOfUndici, type RequestInit as InitOfUndici } from 'undici';
import { isLoopback } from '../../temporal/proxy';

const VARIABLES = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY'];

/** Made at first use, since a worker's environment does not change. */
let agent: EnvHttpProxyAgent | null = null;

/** Like the global fetch. Requests to this host bypass the proxy, and `no_proxy` applies. */
export async function fetchByProxy(url: string | URL | Request, init?: RequestInit): Promise<Response> {
  const target = new URL(url instanceof Request ? url.url : url);
  if (isLoopback(target.host) || VARIABLES.every((name) => (process.env[name] ?? '') === '')) {
    return fetch(url, init);
  }
  agent ??= new EnvHttpProxyAgent();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the same type in another version of undici
  const asked = { ...(init as unknown as InitOfUndici), dispatcher: agent };
  const { status, statusText, headers, body } = await fetchOfUndici(target, asked);
  return new Response(body, { status, statusText, headers: [...headers] });
}
