import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { connect, serverAddress } from '../../src/temporal/connection';
import { freePorts, listen, portOf, refusingProxy, useOwnState } from './own-state';

const state = useOwnState();

test('without a server, the error has the command that starts one', async () => {
  await expect(connect()).rejects.toMatchObject({
    name: 'ServerUnavailable',
    message: expect.stringContaining('no Temporal server is running'),
    todo: expect.stringContaining('autoresearch up'),
  });
});

test('a wrong address is an error within seconds, with the reason', async () => {
  const { port } = await freePorts();
  process.env['TEMPORAL_ADDRESS'] = `127.0.0.1:${port}`;
  const began = performance.now();
  await expect(connect()).rejects.toMatchObject({
    name: 'ServerUnavailable',
    message: expect.stringContaining(`127.0.0.1:${port}`),
    todo: expect.stringContaining('TEMPORAL_ADDRESS'),
  });
  expect(performance.now() - began).toBeLessThan(60_000);
});

test('a port whose listener never answers is an error', async () => {
  const silent = await listen(0);
  const open = new Set<Socket>();
  silent.on('connection', (socket) => open.add(socket));
  process.env['TEMPORAL_ADDRESS'] = `127.0.0.1:${portOf(silent)}`;
  await expect(connect()).rejects.toMatchObject({
    name: 'ServerUnavailable',
    message: expect.stringContaining('no answer'),
  });
  for (const socket of open) socket.destroy();
  silent.close();
  await once(silent, 'close');
});

test('an unknown host name is an error', async () => {
  process.env['TEMPORAL_ADDRESS'] = 'no-such-host.invalid:7233';
  await expect(connect()).rejects.toMatchObject({
    name: 'ServerUnavailable',
    message: expect.stringContaining('no-such-host.invalid:7233'),
  });
});

test('connects to a remote server through the proxy, and names it in a failure', async () => {
  await using proxy = await refusingProxy();
  process.env['https_proxy'] = `http://me:secret@${proxy.address}`;
  process.env['TEMPORAL_ADDRESS'] = 'no-such-host.invalid:7233';
  const failed: unknown = await connect().catch((error: unknown) => error);
  expect(proxy.asked()).toBeGreaterThan(0);
  expect(failed).toMatchObject({
    name: 'ServerUnavailable',
    message: expect.stringContaining(`through the proxy ${proxy.address} of https_proxy`),
  });
  expect(String(failed)).not.toContain('secret');
});

test('a profile sets address, namespace and API key; the environment takes precedence', async () => {
  const file = join(state.home(), 'temporal.toml');
  writeFileSync(
    file,
    '[profile.prod]\naddress = "prod.example:7233"\nnamespace = "research"\napi_key = "secret"\n',
  );
  process.env['TEMPORAL_PROFILE'] = 'prod';
  expect(await serverAddress()).toMatchObject({
    address: 'prod.example:7233',
    namespace: 'research',
    options: { apiKey: 'secret', tls: true },
    ours: false,
  });
  process.env['TEMPORAL_NAMESPACE'] = 'other';
  expect((await serverAddress()).namespace).toBe('other');
});

test('a missing profile or an invalid file is an error', async () => {
  process.env['TEMPORAL_PROFILE'] = 'absent';
  await expect(serverAddress()).rejects.toMatchObject({
    name: 'ServerUnavailable',
    todo: expect.stringContaining('temporal.toml'),
  });
  writeFileSync(join(state.home(), 'temporal.toml'), '[profile');
  await expect(serverAddress()).rejects.toMatchObject({ name: 'ServerUnavailable' });
});
