import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { JsonFileError, readJson, readJsonIfWhole, writeJsonAtomic } from '../../src/process/json-file';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'json-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('json files', () => {
  const schema = z.strictObject({ a: z.number() });

  it('round-trips, replaces, and tells absent from damaged', async () => {
    const path = join(folder, 'x.json');
    expect(await readJson(path, schema)).toBeNull();
    await writeJsonAtomic(path, { a: 1 });
    await writeJsonAtomic(path, { a: 2 });
    expect(await readJson(path, schema)).toEqual({ a: 2 });
    await writeFile(path, '{"a":');
    await expect(readJson(path, schema)).rejects.toThrow(JsonFileError);
    await writeFile(path, '{"a":"1"}');
    await expect(readJson(path, schema)).rejects.toThrow(`${path}: a: `);
    expect(await readJsonIfWhole(path, schema)).toBeNull();
    await expect(readJsonIfWhole(folder, schema)).rejects.toThrow('EISDIR');
  });

  it('is one complete version after concurrent writes, without temporary files', async () => {
    const path = join(folder, 'x.json');
    await Promise.all(Array.from({ length: 20 }, (_, a) => writeJsonAtomic(path, { a })));
    expect(await readJson(path, schema)).toEqual({ a: expect.any(Number) });
    await expect(writeJsonAtomic(join(folder, 'none', 'x.json'), {})).rejects.toThrow('ENOENT');
    expect(await readdir(folder)).toEqual(['x.json']);
  });
});
