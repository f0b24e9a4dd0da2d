/** A company's proxy in the environment: requests to the API use it, requests to loopback do not. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { serve } from './asking';
import { failureOf, good, newStudy, run, spent } from './studied';

jest.setTimeout(60_000);

const open = new Set<Socket>();
let asked: string[];
let proxy: Server;

/** A proxy that tunnels requests to `port` of this host; null refuses them. */
async function proxyTo(port: number | null): Promise<void> {
  asked = [];
  proxy = createServer((_request, response) => response.writeHead(400).end());
  proxy.on('connection', (socket) => open.add(socket));
  proxy.on('connect', ({ url }, socket, head) => {
    asked.push(url ?? '');
    if (port === null) {
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      return;
    }
    const tunnel = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      tunnel.write(head);
      tunnel.pipe(socket).pipe(tunnel);
    });
    open.add(tunnel);
    for (const end of [socket, tunnel]) end.on('error', () => undefined);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port: own } = proxy.address() as AddressInfo;
  process.env['http_proxy'] = `http://127.0.0.1:${own}`;
}

afterEach(async () => {
  delete process.env['http_proxy'];
  for (const socket of open) socket.destroy();
  open.clear();
  proxy.close();
  await once(proxy, 'close');
  jest.resetModules();
});

test('the API is asked through it', async () => {
  const api = await serve(good);
  await proxyTo(Number(new URL(api.url).port));
  process.env['ANTHROPIC_BASE_URL'] = 'http://api.invalid:8080';
  expect(await run(await newStudy(), 2)).toMatchObject({ gaveUp: null });
  expect(asked).toEqual(['api.invalid:8080']);
  expect(api.served).toHaveLength(1);
});

test('what is on this host is asked without it', async () => {
  const api = await serve(good);
  await proxyTo(null);
  expect(await run(await newStudy(), 2)).toMatchObject({ gaveUp: null });
  expect([asked, api.served.length]).toEqual([[], 1]);
});

test('a proxy that refuses is no answer of the API: nothing is owed', async () => {
  await serve(good);
  await proxyTo(null);
  process.env['ANTHROPIC_BASE_URL'] = 'http://api.invalid:8080';
  const study = await newStudy();
  expect((await failureOf(run(study, 2))).type).toBe('ModelUnreachable');
  expect(await spent(study)).toBe(0);
});
