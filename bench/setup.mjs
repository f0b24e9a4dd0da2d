/**
 * Duration of the set-up with empty caches (downloads gigabytes, and may build Temporal's server), and with nothing left to do.
 * `node bench/setup.mjs [--cold]` prints one JSON line per figure.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const WARM_TIMES = 5;

/** Seconds of one `npm run setup`, without npm itself. */
function setup(env) {
  const began = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts', 'setup.mjs')], {
    env,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`setup ended with ${status}: ${stderr}`);
  return (performance.now() - began) / 1000;
}

const say = (figure, value) =>
  console.log(JSON.stringify({ bench: 'setup', figure, value: Number(value.toFixed(2)), unit: 's' }));

if (process.argv.includes('--cold')) {
  const home = mkdtempSync(join(tmpdir(), 'cold-'));
  try {
    // GOPATH too: Go's module cache would make the build look faster than it is.
    const env = {
      ...process.env,
      HOME: home,
      XDG_CACHE_HOME: join(home, 'cache'),
      GOPATH: join(home, 'go'),
      GOFLAGS: '-modcacherw',
    };
    say('set-up with empty caches, npm packages installed', setup(env));
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}
setup(process.env);
const times = Array.from({ length: WARM_TIMES }, () => setup(process.env)).toSorted((a, b) => a - b);
say('set-up with nothing to do, median', times[Math.floor(WARM_TIMES / 2)]);
