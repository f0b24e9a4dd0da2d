/** A host keeps the name under which its studies began. */
import os from 'node:os';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keepHostName } from '../../src/temporal/host-name';
import { controlQueue, laneQueue } from '../../src/temporal/queues';
import { useOwnState } from './own-state';

const state = useOwnState();
const said: string[] = [];
const keep = (): Promise<void> => keepHostName((line) => said.push(line));

beforeEach(() => {
  said.length = 0;
  delete process.env['AUTORESEARCH_HOST'];
});
afterEach(() => jest.restoreAllMocks());

/** What the system calls this host now. */
const call = (name: string): void => void jest.spyOn(os, 'hostname').mockReturnValue(name);

test('the queues keep the first name, whatever the host is called later', async () => {
  call('Laptop at home');
  expect(controlQueue()).toBe('autoresearch-laptop-at-home');
  await keep();
  call('dhcp-17.example');
  await keep();
  expect([controlQueue(), laneQueue('cuda:3'), laneQueue('cpu')]).toEqual([
    'autoresearch-laptop-at-home',
    'gpu-laptop-at-home-3',
    'cpu-laptop-at-home',
  ]);
  expect(said).toEqual([]);
});

test('AUTORESEARCH_HOST goes first, is kept as well, and what that means for studies is said', async () => {
  call('one');
  await keep();
  process.env['AUTORESEARCH_HOST'] = 'two';
  expect(controlQueue()).toBe('autoresearch-two');
  await keep();
  delete process.env['AUTORESEARCH_HOST'];
  expect(controlQueue()).toBe('autoresearch-two');
  expect(said).toEqual([expect.stringMatching(/is two now: studies that began on one wait/u)]);
});

test('a damaged file is as none', async () => {
  call('one');
  await keep();
  writeFileSync(join(state.home(), 'autoresearch', 'host-name.json'), '{"format":1');
  expect(controlQueue()).toBe('autoresearch-one');
  await keep();
  call('other');
  expect(controlQueue()).toBe('autoresearch-one');
});
