/**
 * `node test/chaos/prove.mjs [NAME…] [--places]`: that the chaos driver sees what it looks for. Each fault is planted in a
 * copy of the build, and the driver must report it and fail. One JSON line a fault; exits with 0 when all were seen. With
 * --places it only looks whether each could be planted.
 */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(dirname(here));

const afterTheHead = 'async function ownerOfAttempt({ folder, status }) {';
const noOwner = (kind) => `${afterTheHead} if (/${kind}-\\d+$/.test(folder)) return null;`;

/** `change`: what stands in a file of the build, and what is put in its place. `seenAs`: the sums that must not be 0. */
const FAULTS = {
  'a live training is not found again': {
    change: ['dist/runs/attempts.js', afterTheHead, noOwner('train')],
    strikes: ['--only', 'worker killed', '--experiments', '8', '--kills', '10'],
    seenAs: ['trainSecondsSpentTwice'],
  },
  'a live scoring is not found again': {
    change: ['dist/runs/attempts.js', afterTheHead, noOwner('score')],
    strikes: ['--only', 'worker killed@scorer at work', '--experiments', '6', '--kills', '4'],
    seenAs: ['scoreSecondsSpentTwice'],
  },
  'a run is put aside and trained anew': {
    change: [
      'dist/runs/watch.js',
      '(input), identity))\n',
      '(input), identity) && activity_1.Context.current().info.attempt === 1)\n',
    ],
    strikes: ['--only', 'worker killed@candidate trains', '--experiments', '4', '--kills', '4'],
    seenAs: ['trainSecondsSpentTwice'],
  },
  'a pause is acknowledged and forgotten': {
    change: [
      'dist/workflows.bundle.js',
      "pause: () => change((0, study_1.pause)((0, study_1.listen)(state), { by: 'user', reason: 'paused by request' }))",
      'pause: () => change((0, study_1.listen)(state))',
    ],
    strikes: ['--only', 'paused, worker killed@candidate trains', '--experiments', '8', '--kills', '2'],
    seenAs: ['troubles'],
  },
  'a workflow task sends no command': {
    change: [
      'dist/workflows.bundle.js',
      '(0, workflow_1.upsertSearchAttributes)([\n            { key: search_attributes_1.PHASE',
      'void ([\n            { key: search_attributes_1.PHASE',
    ],
    strikes: ['--only', 'experiment terminated, worker killed, asked', '--experiments', '8', '--kills', '6'],
    seenAs: ['lostRequests'],
  },
  'a record is written again': {
    change: ['dist/ledger/ledger.js', 'if (earlier !== null) {', 'if (earlier === undefined) {'],
    strikes: [
      '--only',
      'worker killed@after git write: record in the ledger',
      '--experiments',
      '4',
      '--kills',
      '2',
    ],
    seenAs: ['double'],
  },
  'a sandbox outlives its runner': {
    change: [
      'src/process/supervisor.py',
      'LIFELINE:\n                    check_lifeline()',
      'LIFELINE:\n                    poll.unregister(LIFELINE)',
    ],
    strikes: ['--only', 'runner killed@candidate trains', '--experiments', '4', '--kills', '2'],
    seenAs: ['leaked'],
  },
  'a stale lock stays': {
    change: ['dist/ledger/compact.js', 'for (const name of LEFT)', 'for (const name of [])'],
    strikes: ['--only', 'worker and git killed, locks left', '--experiments', '8', '--kills', '8'],
    seenAs: ['troubles'],
  },
  'a second attempt gets another seed': {
    change: [
      'dist/activities/train.js',
      'seed: input.seed,\n        budget',
      'seed: input.seed + Number(!folder.endsWith("-1")),\n        budget',
    ],
    strikes: ['--only', 'runner killed@candidate trains', '--experiments', '4', '--kills', '2'],
    seenAs: ['lost'],
  },
};

async function main() {
  const { values, positionals: named } = parseArgs({
    options: { places: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  for (const { change } of Object.values(FAULTS)) planted(root, change);
  if (values.places) return;
  let failed = 0;
  for (const [name, fault] of Object.entries(FAULTS)) {
    if (named.length > 0 && !named.includes(name)) continue;
    const { code, sums } = await struck(fault);
    const isSeen = code !== 0 && sums !== null && fault.seenAs.every((sum) => sums[sum] > 0);
    failed += Number(!isSeen);
    process.stdout.write(`${JSON.stringify({ fault: name, isSeen, code, sums })}\n`);
  }
  process.exitCode = failed === 0 ? 0 : 1;
}

/** @throws Error if the place has changed: then the fault has to be planted elsewhere */
function planted(build, [file, from, to]) {
  const text = readFileSync(join(build, file), 'utf8');
  if (text.split(from).length !== 2) throw new Error(`expected once in ${file}: ${from}`);
  return text.replace(from, () => to);
}

async function struck({ change, strikes }) {
  const build = mkdtempSync(join(tmpdir(), 'chaos-fault-'));
  try {
    copyBuild(build);
    writeFileSync(join(build, change[0]), planted(build, change));
    const { code, said } = await drive('--build', build, '--installations', '2', ...strikes);
    const last = said.trim().split('\n').at(-1) ?? '';
    return { code, sums: last.startsWith('{"kills"') ? JSON.parse(last) : null };
  } finally {
    rmSync(build, { recursive: true, force: true });
  }
}

function copyBuild(build) {
  cpSync(join(root, 'dist'), join(build, 'dist'), { recursive: true });
  for (const name of execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n')) {
    const top = name.split('/')[0];
    if (!['bin', 'src', 'trainer', 'package.json', 'package-lock.json'].includes(top)) continue;
    mkdirSync(dirname(join(build, name)), { recursive: true });
    cpSync(join(root, name), join(build, name));
  }
  symlinkSync(join(root, 'node_modules'), join(build, 'node_modules'));
}

function drive(...args) {
  return new Promise((resolve) => {
    const driver = spawn(process.execPath, [join(here, 'main.mjs'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    driver.stdout.on('data', (chunk) => {
      said += chunk;
    });
    driver.once('close', (code) => resolve({ code, said }));
  });
}

await main();
