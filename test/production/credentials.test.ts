/** Certificates and API keys, by the variables and profiles that Temporal's own tools read, on a server that asks for them. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Service } from '../e2e/service';
import { Authority, TokenIssuer } from './certificates';
import { outcome, startTiny, whole } from './tiny';
import { Topology } from './topology';

jest.setTimeout(180_000);
const TAG = 'tls';
let topology: Topology;
let service: Service;
let authority: Authority;
const issuer = new TokenIssuer();

/** What the CLI's environment says of the server, and nothing left over from before. */
function settings(names: Record<string, string>): void {
  for (const name of Object.keys(service.env).filter((each) => each.startsWith('TEMPORAL_'))) {
    delete service.env[name];
  }
  Object.assign(service.env, {
    TEMPORAL_NAMESPACE: 'autoresearch',
    TEMPORAL_ADDRESS: topology.address,
    ...names,
  });
}

const certificates = (
  client: { certificate: string; key: string },
  { certificate }: { certificate: string } = authority,
): Record<string, string> => ({
  TEMPORAL_TLS_CLIENT_CERT_PATH: client.certificate,
  TEMPORAL_TLS_CLIENT_KEY_PATH: client.key,
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: certificate,
});

const withKey = (key: string): void =>
  settings({ TEMPORAL_API_KEY: key, TEMPORAL_TLS_SERVER_CA_CERT_PATH: authority.certificate });

/** A profile in temporal.toml, as for the `temporal` CLI. */
function profile(content: string): Record<string, string> {
  const file = join(service.root, 'temporal.toml');
  writeFileSync(
    file,
    `[profile.prod]\naddress = "${topology.address}"\nnamespace = "autoresearch"\n${content}`,
  );
  return { TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'prod' };
}

/** What a command says that is not let in. It has the settings of this moment: several may be under way at once. */
const refusal = async (...command: string[]): Promise<string> => {
  const { code, stdout, stderr } = await service.run(...command);
  expect(code).toBe(4);
  return stdout + stderr;
};

beforeAll(async () => {
  topology = await Topology.create();
  authority = new Authority(join(topology.root, 'tls'));
  authority.issue('server');
  await topology.startServer({ TEMPORAL_TLS_DIR: join(topology.root, 'tls') });
  service = await Service.create();
  service.env['AUTORESEARCH_DEVICES'] = 'cpu';
});
afterAll(async () => {
  await service?.remove();
  await topology?.remove();
  issuer.close();
});

describe('a server that requires a certificate', () => {
  test('by variables: CLI and worker connect, and a study runs', async () => {
    settings(certificates(authority.issue('client')));
    const { server } = await service.ask<{ server: object }>('up', '--create-namespace');
    expect(server).toEqual(expect.not.objectContaining({ options: expect.anything() }));
    await startTiny(service, TAG, { experiments: 1 });
    expect(await outcome(service, TAG, 1)).toEqual(whole(1));
  });

  test('by a profile in temporal.toml', async () => {
    const { certificate, key } = authority.issue('other');
    settings({});
    for (const name of ['ADDRESS', 'TLS_SERVER_NAME']) delete service.env[`TEMPORAL_${name}`];
    Object.assign(
      service.env,
      profile(
        `[profile.prod.tls]\nclient_cert_path = "${certificate}"\nclient_key_path = "${key}"\n` +
          `server_ca_cert_path = "${authority.certificate}"\nserver_name = "temporal"\n`,
      ),
    );
    // The worker had another certificate: it is replaced, for its own may expire.
    expect(await service.ask('up')).toMatchObject({ worker: { state: 'replaced' } });
    await service.ask('budget', TAG, '--experiments', '2');
    expect(await outcome(service, TAG, 2)).toEqual(whole(2));
  });

  test('refused: no certificate, a foreign one, an untrusted server, missing files', async () => {
    const strangers = new Authority(join(service.root, 'strangers'));
    settings({ TEMPORAL_TLS_SERVER_CA_CERT_PATH: authority.certificate });
    const none = refusal('up');
    settings(certificates(strangers.issue('client')));
    const strange = refusal('pause', TAG);
    settings({});
    const open = refusal('pause', TAG);
    settings(certificates(authority.issue('client'), strangers));
    const impostor = refusal('pause', TAG);
    settings(certificates({ certificate: '/nowhere/client.pem', key: '/nowhere/client.key' }));
    const absent = refusal('pause', TAG);
    expect(await none).toMatch(/requires a client certificate, and none is configured/);
    expect(await strange).toMatch(/rejects the client certificate/);
    expect(await open).toMatch(/it speaks TLS, and neither TEMPORAL_TLS nor/);
    expect(await impostor).toMatch(/its certificate is not trusted/);
    expect(await absent).toMatch(/\/nowhere\/client.pem/);
  });
});

describe('a server that requires an API key', () => {
  beforeAll(async () => {
    await topology.killServer();
    await topology.startServer({ TEMPORAL_TLS_CLIENT_AUTH: 'false', TEMPORAL_JWKS: await issuer.listen() });
  });

  test('by a variable: a worker with the key continues the study', async () => {
    withKey(issuer.token(['autoresearch:admin', 'temporal-system:admin']));
    expect(await service.ask('up')).toMatchObject({ worker: { state: 'replaced' } });
    await service.ask('budget', TAG, '--experiments', '3');
    expect(await outcome(service, TAG, 3)).toEqual(whole(3));
  });

  test('by a profile, with only the permissions that a worker needs', async () => {
    settings({});
    delete service.env['TEMPORAL_ADDRESS'];
    const key = issuer.token(['autoresearch:write', 'autoresearch:worker']);
    Object.assign(
      service.env,
      profile(
        `api_key = "${key}"\n[profile.prod.tls]\nserver_ca_cert_path = "${authority.certificate}"\nserver_name = "temporal"\n`,
      ),
    );
    expect(await service.ask('up')).toMatchObject({
      server: { warnings: [] },
      worker: { state: 'replaced' },
    });
    await service.ask('budget', TAG, '--experiments', '4');
    expect(await outcome(service, TAG, 4)).toEqual(whole(4));
  });

  test('refused: no key, a wrong one, an expired one, one of another namespace', async () => {
    settings({ TEMPORAL_TLS_SERVER_CA_CERT_PATH: authority.certificate });
    expect(await refusal('up')).toMatch(/unauthorized[^]*TEMPORAL_API_KEY/i);
    const keys = [
      'planted-nonsense',
      issuer.token([], { expiresIn: -60 }),
      issuer.token(['elsewhere:admin']),
    ];
    for (const key of keys) {
      withKey(key);
      const said = await refusal('up');
      expect(said).toMatch(/unauthorized[^]*TEMPORAL_API_KEY/i);
      expect(said).not.toContain(key);
    }
  });

  test('no written file has the key', () => {
    const state = join(service.root, 'state', 'autoresearch', 'worker');
    const written = ['worker.json', 'worker.log']
      .map((name) => readFileSync(join(state, name), 'utf8'))
      .join('');
    expect(written).toContain('autoresearch');
    expect(written).not.toMatch(/eyJ[\w-]+\.eyJ|PRIVATE KEY/u);
  });
});
