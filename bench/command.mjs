/**
 * Measures a command's CPU and wall time, without its git processes, for several builds in turn:
 * `npm run build && node bench/command.mjs BUILD[,BUILD…] status TAG` prints one JSON line a build, medians of 15.
 * BUILD is the folder of a package, `.` for this one.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const ROUNDS = 15;
const [builds = '.', ...args] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'bench-'));
const told = join(folder, 'cpu.json');
const hook = join(folder, 'hook.cjs');
writeFileSync(
  hook,
  `process.on('exit', () => require('node:fs').writeFileSync(${JSON.stringify(told)}, JSON.stringify(process.cpuUsage())))`,
);

function once(build) {
  const began = performance.now();
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--require', hook, join(resolve(build), 'bin', 'autoresearch.js'), ...args],
    { encoding: 'utf8' },
  );
  const wall = (performance.now() - began) / 1000;
  if (status !== 0) throw new Error(`${build}: ${args.join(' ')} ended with ${status}: ${stderr}`);
  const { user, system } = JSON.parse(readFileSync(told, 'utf8'));
  return { wall, cpu: (user + system) / 1e6 };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const figure = (samples, name) => Number(median(samples.map((sample) => sample[name])).toFixed(3));

try {
  const samples = builds.split(',').map((build) => ({ build, all: [] }));
  // The first is to fill caches.
  for (const { build } of samples) once(build);
  for (let round = 0; round < ROUNDS; round++) for (const { build, all } of samples) all.push(once(build));
  for (const { build, all } of samples) {
    const [cpuSeconds, wallSeconds] = [figure(all, 'cpu'), figure(all, 'wall')];
    const node = process.version;
    console.log(
      JSON.stringify({ command: args.join(' '), build, cpuSeconds, wallSeconds, node, load: loadavg()[0] }),
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
