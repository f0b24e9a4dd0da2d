/** A whole study as a user without rights has it, from `up` to `down`, contained as root's are. The smallest lab, everything else real. */
import { copyFileSync, mkdirSync, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { isAlive } from '../../src/process/owner';
import { findTemporal } from '../../src/host/temporal-binary';
import { done, outcome, startTiny, whole } from '../production/tiny';
import { until } from '../workflows/world';
import { Service, smallPython } from './service';

jest.setTimeout(400_000);
const TAG = 'plain';
const NOBODY = 65_534;
const PYTHON = '/usr/bin/python3';
// Anybody but root runs all the other tests as a plain user.
const asRoot = process.getuid?.() === 0 ? describe : describe.skip;
let service: Service;

asRoot('as the user nobody', () => {
  beforeAll(async () => {
    service = await Service.create();
    service.user = NOBODY;
    const bin = join(service.root, 'bin');
    mkdirSync(bin);
    const temporal = await findTemporal();
    if (temporal !== null && isAbsolute(temporal.path)) copyFileSync(temporal.path, join(bin, 'temporal'));
    // Root's caches and tools are not for others to read.
    Object.assign(service.env, {
      PATH: `${bin}:/usr/local/bin:/usr/bin:/bin`,
      XDG_CACHE_HOME: join(service.root, 'cache'),
      AUTORESEARCH_PYTHON: smallPython(join(service.root, 'python'), PYTHON),
      AUTORESEARCH_DEVICES: 'cpu',
    });
    service.handOver(service.root);
  });
  afterAll(() => service?.remove());

  test('up, a study in its sandbox, stop, down', async () => {
    const { worker } = await service.up();
    expect(statSync(`/proc/${worker.owner.pid}`).uid).toBe(NOBODY);
    await startTiny(service, TAG, { experiments: 2 });
    expect(await outcome(service, TAG, 2)).toEqual(whole(2));
    const records = await done(service, TAG, 2);
    expect(records.flatMap(({ runs }) => runs.map(({ sandbox }) => sandbox))).toEqual([
      'bubblewrap',
      'bubblewrap',
    ]);
    await service.ask('stop', TAG);
    await until(
      () => service.status(TAG),
      ({ study }) => study.phase === 'stopped',
      180,
    );
    await service.ask('down');
    expect(isAlive(worker.owner)).toBe(false);
  });
});
