/**
 * Throughput of training rows from the runner through socket and sandbox to a candidate: shuffled reads, framing, and the
 * candidate's reading. `npm run build && node bench/feed.mjs` prints one JSON line for each length of row.
 */
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const require = createRequire(import.meta.url);
const { launch } = require('../dist/process/detach.js');
const { asset } = require('../dist/process/package-root.js');

const SECONDS = 5; //                     of reading, for each length of row
const DATA_BYTES = 1 << 30; //            larger than a processor's cache, in the file cache after the first epoch
const BATCH_TOKENS = 262_144; //          upstream's batch
const ROWS = [257, 2049]; //              token ids: the CPU's rows and the GPU's

const folder = await mkdtemp(join(tmpdir(), 'feed-'));
try {
  for (const row of ROWS) console.log(JSON.stringify(await measure(row)));
} finally {
  await rm(folder, { recursive: true });
}

async function measure(row) {
  const data = join(folder, `data-${row}`);
  const task = join(folder, `task-${row}`);
  await Promise.all([mkdir(data), mkdir(task)]);
  await makeData(data, row);
  const rows = Math.round(BATCH_TOKENS / (row - 1));
  await writeFile(join(task, 'spec.json'), JSON.stringify(specOf(task, data, rows)));
  await launch({
    command: [process.execPath, asset('dist', 'runner', 'main.js'), task],
    cwd: task,
    env: process.env,
    log: join(task, 'runner.log'),
    lock: join(task, 'lock'),
    name: 'bench/feed',
  });
  const { sandbox } = await whenDone(join(task, 'status.json'));
  const [, bytes, seconds] = /bytes (\d+) seconds ([\d.]+)/.exec(await readFile(join(task, 'log'), 'utf8'));
  const rate = Number(bytes) / Number(seconds) / 1e9;
  return { bench: 'feed', row, rows, sandbox, unit: 'GB/s', value: Number(rate.toPrecision(3)) };
}

async function makeData(data, row) {
  const count = Math.floor(DATA_BYTES / (2 * row));
  const file = await open(join(data, 'train.bin'), 'w');
  await file.truncate(count * row * 2);
  await file.close();
  // Read once: what is measured is not the disk.
  await readFile(join(data, 'train.bin'));
  const part = { file: 'train.bin', rows: count, sha256: '0'.repeat(64) };
  const manifest = {
    version: 1,
    source: 'zeros',
    vocabulary: 65_536,
    bos: 0,
    row,
    train: part,
    val: { ...part, bytes: 1 },
    token_bytes: { file: 'x', sha256: part.sha256 },
    tokenizer: { file: 'x', sha256: part.sha256 },
  };
  await writeFile(join(data, 'manifest.json'), JSON.stringify(manifest));
}

function specOf(task, data, rows) {
  return {
    kind: 'train',
    format: 1,
    name: 'bench/feed',
    tree: asset('test', 'runner'),
    data,
    python: '/usr/bin/python3',
    device: 'cpu',
    command: ['python', 'candidate.py', 'feed', String(rows)],
    submission: join(task, 'submission'),
    logBytes: 1 << 20,
    scratchBytes: 1 << 20,
    seed: 1,
    budget: { seconds: SECONDS },
    startupSeconds: 60,
    submissionSeconds: 60,
    stallSeconds: 60,
    trainSeconds: 60,
    weightsBytes: 1 << 20,
  };
}

async function whenDone(path) {
  for (;;) {
    await sleep(200);
    const status = await readFile(path, 'utf8').then(JSON.parse, () => null);
    if (status?.phase !== 'done') continue;
    if (status.failure !== null) throw new Error(`the candidate failed: ${status.failure.message}`);
    return status;
  }
}
