/** fetch, through the proxy that the environment names: Node 20's own takes none. */
import { EnvHttpProxyAgent, fetch as fetchOfUndici, type RequestInit as InitOfUndici } from 'undici';
import { isLoopback } from '../../temporal/proxy';

const VARIABLES = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY'];

/** Made at the first use: a worker's environment does not change. */
let agent: EnvHttpProxyAgent | null = null;

/** As the global one. What is on this host is asked without a proxy; `no_proxy` holds. */
export async function fetchByProxy(url: string | URL | Request, init?: RequestInit): Promise<Response> {
  const target = new URL(url instanceof Request ? url.url : url);
  if (isLoopback(target.host) || VARIABLES.every((name) => (process.env[name] ?? '') === '')) {
    return fetch(url, init);
  }
  agent ??= new EnvHttpProxyAgent();
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the same things, by the types of another undici
  const asked = { ...(init as unknown as InitOfUndici), dispatcher: agent };
  const { status, statusText, headers, body } = await fetchOfUndici(target, asked);
  return new Response(body, { status, statusText, headers: [...headers] });
}
