import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

it('the faults by which the chaos driver is proved still have their places in the build', async () => {
  const looked = promisify(execFile)(process.execPath, [join(__dirname, 'prove.mjs'), '--places']);
  await expect(looked).resolves.toMatchObject({ stderr: '' });
});
