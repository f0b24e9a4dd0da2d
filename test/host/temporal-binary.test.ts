import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureTemporal, findTemporal } from '../../src/host/temporal-binary';
import { fakePrograms, realPrograms } from './fake-programs';

const before = { ...process.env };
let cache = '';

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'autoresearch-cache-'));
  process.env['XDG_CACHE_HOME'] = cache;
  // Prevents a real download: nothing listens at this proxy.
  process.env['HTTPS_PROXY'] = 'http://127.0.0.1:9';
});
afterEach(() => {
  process.env = { ...before };
  rmSync(cache, { recursive: true, force: true });
});

const TEMPORAL = `echo 'temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)'`;
const BASE = ['sh', 'env', 'node', 'python3', 'cp', 'mkdir', 'chmod', 'cat'];

test("prefers the user's own binary", async () => {
  process.env['PATH'] = `${fakePrograms({ temporal: TEMPORAL })}:${realPrograms(BASE)}`;
  expect(await ensureTemporal(() => undefined)).toEqual({
    path: 'temporal',
    version: '1.5.1 (Server 1.29.1, UI 2.42.1)',
  });
});

test('skips binaries that do not run, builds with Go and finds the build again', async () => {
  const broken = {
    temporal: 'echo "another program"',
    go: goThatInstalls(
      `mkdir -p "$GOBIN"; printf '#!/bin/sh\\n%s\\n' "${TEMPORAL}" > "$GOBIN/temporal"; chmod +x "$GOBIN/temporal"`,
    ),
  };
  process.env['PATH'] = `${fakePrograms(broken)}:${realPrograms(BASE)}`;
  expect(await findTemporal()).toBeNull();
  const said: string[] = [];
  const binary = await ensureTemporal((line) => said.push(line));
  expect(binary.path).toBe(join(cache, 'autoresearch', 'tools', 'temporal-1.5.1', 'temporal'));
  expect(said.join('\n')).toMatch(/download failed[^]*built with Go[^]*done in/u);
  expect(await findTemporal()).toEqual(binary);
});

test('reports each failed attempt and what to install', async () => {
  process.env['PATH'] =
    `${fakePrograms({ go: goThatInstalls('echo "no route to host" >&2; exit 1') })}:${realPrograms(BASE)}`;
  await expect(ensureTemporal(() => undefined)).rejects.toMatchObject({
    name: 'MissingPrerequisite',
    message: expect.stringMatching(
      /not on PATH; .*download failed.*; go install .* failed \(exit code 1\): no route to host/su,
    ),
    todo: expect.stringContaining('TEMPORAL_ADDRESS'),
  });
});

const goThatInstalls = (install: string): string =>
  `[ "$1" = version ] && { echo go1.24; exit 0; }\n${install}`;
