/** What a study says is encrypted on its way: begun in the open, gone on with a key, read by the UI in a real browser. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { chromium, type Browser, type Page } from 'playwright-core';
import { Service } from '../e2e/service';
import { freePort } from '../ports';
import { until } from '../workflows/world';
import { letGo, outcome, PLANTED, startTiny, trainerOf, trains, whole } from './tiny';

jest.setTimeout(400_000);
const TAG = 'secret';
const KEY = randomBytes(32).toString('base64');
const CHROMIUM = '/usr/bin/chromium';
/** Where the dev server's UI looks for the endpoint. */
const EXPECTED = '127.0.0.1:8333';
let service: Service;
let endpoint: ChildProcess | null = null;
/** Of the endpoint. */
let port: number;
let browser: Browser | null = null;

const withKey = (key: string | null): void => {
  if (key === null) delete service.env['AUTORESEARCH_CODEC_KEY'];
  else service.env['AUTORESEARCH_CODEC_KEY'] = key;
};
/** One workflow's history as the server gives it. */
const history = (experiment: string): Promise<string> =>
  service.temporal('workflow', 'show', '--output', 'json', '--workflow-id', `study-${TAG}${experiment}`);
const readable = (json: string): string =>
  json.replace(/"data": ?"([^"]*)"/gu, (_, data: string) => Buffer.from(data, 'base64').toString());

beforeAll(async () => {
  [service, port] = await Promise.all([Service.create(), freePort()]);
  service.env['AUTORESEARCH_DEVICES'] = 'cpu';
});
afterAll(async () => {
  await browser?.close();
  endpoint?.kill();
  await service?.remove();
});

test('a study that began without a key continues encrypted, in the middle of a run', async () => {
  await service.up();
  await startTiny(service, TAG, { experiments: 3, held: [1] });
  const runner = await trains(service, TAG, 1);
  withKey(KEY);
  expect(await service.up()).toMatchObject({ worker: { state: 'replaced' } });
  letGo(service, TAG, 1);
  expect(await outcome(service, TAG, 3)).toEqual(whole(3));
  expect(trainerOf(service, TAG, 1)).toEqual(runner);
  expect(readable(await history('/exp-0001'))).toContain(PLANTED);
  const [first, second] = [await history('/exp-0000'), await history('/exp-0002')];
  expect(first).not.toContain('ImluYXJ5L2VuY3J5cHRlZCI');
  expect(readable(second)).not.toMatch(new RegExp(`${PLANTED}|${service.root}`, 'u'));
});

test('from then on the server has no plain text of it', async () => {
  await service.ask('hint', 'anotherplantedword', TAG);
  await service.ask('budget', TAG, '--experiments', '4');
  expect(await outcome(service, TAG, 4)).toEqual(whole(4));
  expect(readable(await history('/exp-0003'))).not.toMatch(/plantedword|train\.py/u);
  const state = join(service.root, 'state', 'autoresearch', 'server');
  const database = ['temporal.db', 'temporal.db-wal']
    .map((name) => join(state, name))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, 'latin1'));
  expect(database.join('')).not.toContain('anotherplantedword');
  expect(database.join('')).not.toContain(`${PLANTED} 3`);
});

test('replays mixed histories, from the server and from an archive', async () => {
  expect(await service.run('replay', TAG)).toMatchObject({ code: 0 });
  const archive = join(service.root, 'study.tar.gz');
  await service.ask('export', TAG, archive);
  expect(await service.run('replay', archive)).toMatchObject({ code: 0 });
  withKey(randomBytes(32).toString('base64'));
  const other = await service.run('replay', archive);
  expect([other.code, other.stderr]).toEqual([4, expect.stringContaining('is encrypted with key')]);
});

test('without the key or with another one sends no plain text and replaces nothing', async () => {
  const wrong = randomBytes(32).toString('base64');
  withKey(null);
  for (const command of [['hint', 'not in the open', TAG], ['up']]) {
    const refused = await service.run(...command);
    expect([refused.code, refused.stderr]).toEqual([
      4,
      expect.stringMatching(/AUTORESEARCH_CODEC_KEY is not set here/u),
    ]);
  }
  withKey(wrong);
  for (const command of [['hint', 'in another key', TAG], ['up'], ['status', TAG]]) {
    const refused = await service.run(...command);
    expect([refused.code, refused.stderr]).toEqual([
      4,
      expect.stringMatching(/only [0-9a-f]{8} is set here/u),
    ]);
    expect(refused.stderr).not.toContain(wrong);
  }
  withKey('too short');
  expect(await service.run('pause', TAG)).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('is not 32 bytes'),
  });
});

test('a new key goes before the old one; both are needed', async () => {
  withKey(`${randomBytes(32).toString('base64')},${KEY}`);
  expect(await service.up()).toMatchObject({ worker: { state: 'replaced' } });
  await service.ask('budget', TAG, '--experiments', '5');
  expect(await outcome(service, TAG, 5)).toEqual(whole(5));
});

test('the Temporal UI of `up` decrypts payloads while the endpoint runs', async () => {
  await service.ask('down');
  const { server } = await service.ask<{ server: { ui: string } }>('up', ...service.ports);
  const page = await open(`${server.ui}/namespaces/default/workflows/study-${TAG}%2Fexp-0003`);
  const text = (): Promise<string> => page.locator('body').innerText();
  await until(text, (shown) => shown.includes('Workflow Execution Started'), 60);
  expect(await text()).not.toContain(PLANTED);
  await serve();
  await page.reload();
  // Summaries, and the input, which the page decrypts on its own.
  await until(text, (each) => each.includes(`${PLANTED} 3`) && each.includes('researcherCommand'), 60);
});

async function open(url: string): Promise<Page> {
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-background-networking',
      // Where the UI expects the endpoint another checkout's may be.
      `--host-resolver-rules=MAP ${EXPECTED} 127.0.0.1:${port}`,
    ],
  });
  const page = await browser.newPage();
  await page.goto(url);
  return page;
}

/** `autoresearch codec`, until it listens. */
async function serve(): Promise<void> {
  endpoint = spawn(process.execPath, [service.program, 'codec', '--port', String(port)], {
    env: service.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await Promise.race([once(endpoint.stdout!, 'data'), once(endpoint, 'exit')]);
  expect(String(said)).toContain(`codec endpoint http://127.0.0.1:${port}`);
}
