import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeBytes, requireRoom } from '../../src/process/free-space';

const folder = join(tmpdir(), 'not', 'there', 'yet');

test('checks the disk of a folder that does not exist yet', async () => {
  expect(await freeBytes(folder)).toBeGreaterThan(0);
  await expect(requireRoom([{ what: 'the state folder', folder, bytes: 1 }])).resolves.toBeUndefined();
});

test('too little space is an error with folder, size and remedy', async () => {
  const needs = [
    { what: 'the state folder', folder, bytes: 1 },
    { what: "the lab's git", folder, bytes: 1e18 },
  ];
  await expect(requireRoom(needs)).rejects.toThrow(
    /waiting for disk space: \d+ MB free in the lab's git .*yet, a run needs 1000000000000 MB\. Free some/,
  );
});
