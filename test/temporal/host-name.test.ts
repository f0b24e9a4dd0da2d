/** The saved host name in queue names. */
import os from 'node:os';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { saveHostName } from '../../src/temporal/host-name';
import { controlQueue, laneQueue } from '../../src/temporal/queues';
import { useOwnState } from './own-state';

const state = useOwnState();
const said: string[] = [];
const save = (): Promise<void> => saveHostName((line) => said.push(line));

beforeEach(() => {
  said.length = 0;
  delete process.env['AUTORESEARCH_HOST'];
});
afterEach(() => jest.restoreAllMocks());

/** The system's current host name. */
const call = (name: string): void => void jest.spyOn(os, 'hostname').mockReturnValue(name);

test('queue names have the first host name, also after it changes', async () => {
  call('Laptop at home');
  expect(controlQueue()).toBe('autoresearch-laptop-at-home');
  await save();
  call('dhcp-17.example');
  await save();
  expect([controlQueue(), laneQueue('cuda:3'), laneQueue('cpu')]).toEqual([
    'autoresearch-laptop-at-home',
    'gpu-laptop-at-home-3',
    'cpu-laptop-at-home',
  ]);
  expect(said).toEqual([]);
});

test('AUTORESEARCH_HOST takes precedence and is saved, with a warning about studies', async () => {
  call('one');
  await save();
  process.env['AUTORESEARCH_HOST'] = 'two';
  expect(controlQueue()).toBe('autoresearch-two');
  await save();
  delete process.env['AUTORESEARCH_HOST'];
  expect(controlQueue()).toBe('autoresearch-two');
  expect(said).toEqual([expect.stringMatching(/name is now two: studies that began on one wait/u)]);
});

test('ignores a damaged file', async () => {
  call('one');
  await save();
  writeFileSync(join(state.home(), 'autoresearch', 'host-name.json'), '{"format":1');
  expect(controlQueue()).toBe('autoresearch-one');
  await save();
  call('other');
  expect(controlQueue()).toBe('autoresearch-one');
});
