/** deploy/systemd/: what systemd says of the units, and the user's one doing its work on a running study. */
import { execFile } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isAlive, type Owner } from '../../src/process/owner';
import { packageRoot } from '../../src/process/package-root';
import { Service } from '../e2e/service';
import { until } from '../workflows/world';
import { letGo, outcome, startTiny, trains, whole } from './tiny';
import { Unit } from './unit';

jest.setTimeout(400_000);
const UNITS = join(packageRoot(), 'deploy', 'systemd');
const OF_A_USER = join(UNITS, 'autoresearch.service');
const OF_THE_SYSTEM = join(UNITS, 'autoresearch@.service');

const ownerIn = (file: string): Owner => JSON.parse(readFileSync(file, 'utf8')).owner;
const kill = ({ pid }: { pid: number }): void => void process.kill(pid, 'SIGKILL');

describe('systemd-analyze verify', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ar-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  async function complaints(...args: string[]): Promise<string> {
    const env = { ...process.env, XDG_RUNTIME_DIR: folder };
    const { stderr } = await promisify(execFile)('systemd-analyze', ['verify', ...args], { env }).catch(
      (error: { stderr: string }) => error,
    );
    return stderr;
  }

  test("accepts the user's unit, and finds the program beside it", async () => {
    expect(await complaints('--user', OF_A_USER)).toBe('');
    writeFileSync(
      join(folder, 'wrong.service'),
      readFileSync(OF_A_USER, 'utf8').replace('KillMode=process', 'KillMode=proces'),
    );
    expect(await complaints('--user', join(folder, 'wrong.service'))).toMatch(
      /kill mode[^]*bin\/autoresearch\.js is not executable/u,
    );
  });

  test("accepts the system's unit with the package in /opt/autoresearch", async () => {
    const unit = readFileSync(OF_THE_SYSTEM, 'utf8');
    expect(unit).toContain('=/opt/autoresearch/bin/autoresearch.js worker');
    const file = join(folder, 'autoresearch@.service');
    writeFileSync(file, unit.replaceAll('/opt/autoresearch', packageRoot()));
    expect(await complaints(file)).toBe('');
  });
});

describe('an unattended study', () => {
  const TAG = 'alone';
  let service: Service;
  let unit: Unit;

  beforeAll(async () => {
    service = await Service.create();
    const home = join(service.root, 'home');
    mkdirSync(join(home, '.config', 'autoresearch'), { recursive: true });
    service.env['AUTORESEARCH_DEVICES'] = 'cpu';
    const given = Object.entries(service.env).filter(([name]) => /^(PATH|XDG_|AUTORESEARCH_)/u.test(name));
    writeFileSync(environmentFile(), given.map(([name, value]) => `${name}=${value}\n`).join(''));
    unit = new Unit(OF_A_USER, home);
  });
  afterAll(async () => {
    await unit?.stop();
    await service?.remove();
  });

  const state = (...path: string[]): string => join(service.root, 'state', 'autoresearch', ...path);
  const worker = (): Owner => ownerIn(state('worker', 'worker.json'));
  const server = (): Owner => ownerIn(state('server', 'server.json'));
  const environmentFile = (): string => join(service.root, 'home', '.config', 'autoresearch', 'environment');
  const works = async (): Promise<boolean> => (await service.run('worker', '--check')).code === 0;

  const runner = (number: number): Promise<Owner> => trains(service, TAG, number);

  test('killed parts restart by themselves; the run continues', async () => {
    unit.start();
    await until(works, Boolean, 60);
    await startTiny(service, TAG, { experiments: 3, held: [1, 2] });
    const training = await runner(1);
    const [dead, command] = [worker(), { pid: unit.pid }];
    kill(dead);
    await until(works, Boolean, 120);
    expect(worker().pid).not.toBe(dead.pid);
    const gone = server();
    kill(gone);
    await until(server, ({ pid }) => pid !== gone.pid, 120);
    const second = worker();
    kill(command);
    await until(
      () => unit.pid,
      (pid) => pid !== command.pid,
    );
    await until(works, Boolean, 120);
    expect([worker(), isAlive(training)]).toEqual([second, true]);
    letGo(service, TAG, 1);
  });

  test('systemctl restart ends only the worker', async () => {
    const training = await runner(2);
    const [last, temporal] = [worker(), server()];
    await unit.stop();
    expect([last, temporal, training].map(isAlive)).toEqual([false, true, true]);
    unit.start();
    await until(works, Boolean, 120);
    expect([server(), isAlive(training)]).toEqual([temporal, true]);
  });

  test('after `down` nothing restarts before `up`', async () => {
    await runner(2);
    await service.ask('down');
    await sleep(4_000);
    expect(unit.ofUser()).toEqual([unit.pid]);
  });

  test('continues after a power failure, also with another host name, and repeats nothing', async () => {
    await service.up();
    await runner(2);
    await unit.powerFails();
    const renamed = join(service.root, 'renamed.cjs');
    writeFileSync(renamed, `require('node:os').hostname = () => 'renamed-by-the-network';\n`);
    service.env['NODE_OPTIONS'] = `--require=${renamed}`;
    appendFileSync(environmentFile(), `NODE_OPTIONS=--require=${renamed}\n`);
    unit.start();
    await runner(2);
    letGo(service, TAG, 2);
    const { experiments, agrees } = await outcome(service, TAG, 3);
    // `down` takes no attempt away, the power does.
    expect([agrees, experiments]).toEqual([
      true,
      [...whole(2).experiments, { number: 2, crashed: false, attempts: [2], trained: 3, scored: 1 }],
    ]);
  });
});
