import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Its environment and command line name nothing; its parent names the root, and is killed. */
const ORPHAN = `
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesOf } from ${JSON.stringify(join(__dirname, 'processes.mjs'))};
const root = '/nowhere/' + process.pid;
const child = "require('child_process').spawn('sleep', ['60'], { env: {}, detached: true }); setInterval(() => {}, 1000)";
const parent = spawn(process.execPath, ['-e', child, root], { env: {}, stdio: 'ignore' });
const all = () => processesOf(root).map(({ command }) => command.split(' ')[0]);
while (!all().includes('sleep')) await sleep(20);
parent.kill('SIGKILL');
await new Promise((resolve) => parent.once('exit', resolve));
const left = processesOf(root);
console.log(left.map(({ command }) => command).join('; '));
for (const { pid } of left) process.kill(pid, 'SIGKILL');
`;

it('the chaos driver knows an orphan again that names nothing of its installation', async () => {
  const looked = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', ORPHAN]);
  await expect(looked).resolves.toMatchObject({ stdout: 'sleep 60\n' });
});
