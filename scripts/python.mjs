/** `node scripts/python.mjs ARGUMENTS`: runs the Python that has the trainer's packages, pytest and ruff. */
import { spawnSync } from 'node:child_process';
import { compiled, main, root } from './bootstrap.mjs';

await main(async () => {
  const { ensureDevelopmentPython } = await compiled('host/trainer-python.js');
  const python = await ensureDevelopmentPython(console.error);
  return spawnSync(python, process.argv.slice(2), { cwd: root, stdio: 'inherit' }).status ?? 1;
});
