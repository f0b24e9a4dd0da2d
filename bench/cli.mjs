/**
 * What commands cost from their start to their end, with a study of 10,000 experiments and no server: the median of 10 runs, as
 * wall time and as CPU time without the git processes. Builds take turns, so that all of them see the same load.
 *
 *     npm run build && node bench/cli.mjs [BUILD…]     BUILD is the folder of a package, `.` for this one
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fill, makeLab } from './filled-lab.mjs';
import { median } from './long-life/figures.mjs';

const EXPERIMENTS = 10_000;
const ROUNDS = 10;
const COMMANDS = [['--help'], ['status', 'bench'], ['history', 'bench'], ['list']];

const require = createRequire(import.meta.url);
const { Git } = require('../dist/ledger/git.js');
const { rememberLab } = require('../dist/studies/known-labs.js');

const builds = process.argv.length > 2 ? process.argv.slice(2) : ['.'];
const folder = mkdtempSync(join(tmpdir(), 'bench-cli-'));
const usage = join(folder, 'cpu.json');
const hook = join(folder, 'hook.cjs');
const env = { ...process.env, XDG_STATE_HOME: join(folder, 'state') };
for (const name of Object.keys(env)) if (name.startsWith('TEMPORAL_')) delete env[name];

/** Wall and CPU seconds of one run. */
function once(build, args) {
  const began = performance.now();
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--require', hook, join(resolve(build), 'bin', 'autoresearch.js'), ...args],
    { encoding: 'utf8', env, maxBuffer: 1e9 },
  );
  const wall = (performance.now() - began) / 1000;
  if (status !== 0) throw new Error(`${build}: ${args.join(' ')} ended with ${status}: ${stderr}`);
  const { user, system } = JSON.parse(readFileSync(usage, 'utf8'));
  return { wall, cpu: (user + system) / 1e6 };
}

try {
  writeFileSync(
    hook,
    `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(usage)}, JSON.stringify(process.cpuUsage())))`,
  );
  const lab = join(folder, 'lab');
  mkdirSync(lab);
  const git = new Git(lab);
  fill(lab, await makeLab(lab, git), EXPERIMENTS, EXPERIMENTS);
  process.env.XDG_STATE_HOME = env.XDG_STATE_HOME;
  await rememberLab(lab);

  for (const args of COMMANDS) {
    const runs = builds.map((build) => ({ build, samples: [] }));
    // The first two fill the caches.
    for (const { build } of [...runs, ...runs]) once(build, args);
    for (let round = 0; round < ROUNDS; round++)
      for (const { build, samples } of runs) samples.push(once(build, args));
    for (const { build, samples } of runs)
      for (const kind of ['wall', 'cpu'])
        console.log(
          JSON.stringify({
            bench: 'cli',
            figure: `${args[0]}, ${kind}`,
            build,
            experiments: EXPERIMENTS,
            value: Number(median(samples.map((sample) => sample[kind])).toFixed(3)),
            unit: 's',
            node: process.version,
            load: loadavg()[0],
          }),
        );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
