/** What a crash leaves on a disk: locks, files of which only a part was written, no room at all. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { signal } from '../processes.mjs';
import { between, pick } from '../random.mjs';
import { attemptsOf, isDone } from '../runs.mjs';
import { TAG } from '../study.mjs';
import { everything } from './kills.mjs';

/** Seconds before now: just made, of long ago, of a clock that was put back since. */
const LOCK_AGES = [0, 600, -3_600];

/** Locks that a git leaves that was killed with its worker. */
export async function locks({ installation, study, random }) {
  const victims = installation.only('worker', 'git');
  signal(victims, 'SIGKILL');
  const number = String(study.recorded()).padStart(4, '0');
  const left = [
    `refs/heads/autoresearch-ledger/${TAG}.lock`,
    `refs/heads/autoresearch/${TAG}.lock`,
    `refs/autoresearch/${TAG}/exp/${number}.lock`,
    `refs/autoresearch/${TAG}/proposal/${number}.lock`,
    'index.lock',
    'packed-refs.lock',
  ]
    .filter(() => random() < 0.6)
    .map((name) => join(study.lab, '.git', name))
    .filter((file) => !existsSync(file));
  for (const file of left) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, '');
    const time = Date.now() / 1000 - pick(LOCK_AGES, random);
    utimesSync(file, time, time);
    study.locksLeft.set(file, study.recorded());
  }
  return { hit: victims.length, struck: [] };
}

/** So many records later a study has come by: one leaves a lock alone that is fresh, or while a git (ours, too) is at work. */
const RECORDS_UNTIL_CLEARED = 4;

/**
 * What is left of locks is the driver's to clear away. No study touches the user's index. A ref that still had to move could
 * not have, and the study would not have come to its end: so such locks came when nobody needed them any more. That of the
 * packed refs stands in no record's way, only in the user's: it has to be gone.
 * @param {number} experiments of the study
 * @returns {string[]} locks that the study should have taken away itself
 */
export function clearLocks(study, experiments) {
  const git = join(study.lab, '.git');
  const files = readdirSync(git, { recursive: true }).map((path) => join(git, path));
  const found = files.filter((file) => file.endsWith('.lock'));
  for (const file of found) rmSync(file);
  const last = experiments - RECORDS_UNTIL_CLEARED;
  return found.filter(
    (file) => basename(file) === 'packed-refs.lock' && (study.locksLeft.get(file) ?? 0) <= last,
  );
}

/**
 * The machine dies, and of some files only a part had come to the disk, or nothing.
 */
export async function halfWritten({ installation, study, random }) {
  const told = await everything({ installation });
  const state = join(installation.root, 'state', 'autoresearch');
  const attempts = attemptsOf(study).toSorted();
  const last = attempts.at(-1);
  const candidates = [
    join(state, 'server', 'server.json'),
    join(state, 'worker', 'worker.json'),
    join(state, 'server', 'server.lock'),
    join(state, 'worker', 'worker.lock'),
    join(study.state(), 'data.json'),
    join(study.state(), 'study.json'),
    join(state, 'host-name.json'),
    ...(last === undefined
      ? []
      : [`${dirname(last)}.json`, join(last, 'status.json'), join(last, 'spec.json'), join(last, 'lock')]),
  ].filter((file) => existsSync(file));
  const cut = candidates.filter(() => random() < 0.5);
  for (const file of cut) truncateSync(file, Math.floor(random() * statSync(file).size));
  leaveHalfAnObject(study, random);
  // A run whose own files are damaged cannot be known to have ended.
  const damaged = last === undefined ? [] : attempts.filter((each) => dirname(each) === dirname(last));
  const lost = cut.some((file) => damaged.some((each) => file.startsWith(dirname(each))));
  return { ...told, struck: [...told.struck, ...(lost ? damaged : [])] };
}

/** As git names and fills a loose object before it is whole. */
function leaveHalfAnObject(study, random) {
  const folder = join(
    study.lab,
    '.git',
    'objects',
    Math.floor(random() * 256)
      .toString(16)
      .padStart(2, '0'),
  );
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `tmp_obj_${Math.floor(random() * 1e6)}`), Buffer.from([0x78, 0x01, 0x4b]));
}

/** No byte is left for seconds: for the runs and the server's database, or for the lab. */
export function fullDisk(of) {
  return async ({ installation, study, random }) => {
    const over = new Set(attemptsOf(study).filter(isDone));
    const file = join(of === 'state' ? installation.root : installation.labs, 'ballast');
    const ballast = openSync(file, 'w');
    try {
      for (const bytes of [1 << 20, 1 << 12]) fill(ballast, Buffer.alloc(bytes, 1));
      await sleep(between(1_000, 12_000)(random));
    } finally {
      closeSync(ballast);
      rmSync(file);
    }
    if (of === 'labs') return { hit: 1, struck: [] };
    // What was about to begin, or began meanwhile, may have ended for lack of room as well.
    return { hit: 1, struck: attemptsOf(study).filter((attempt) => !over.has(attempt)) };
  };
}

function fill(file, piece) {
  try {
    for (;;) writeSync(file, piece);
  } catch (error) {
    if (error.code !== 'ENOSPC') throw error;
  }
}
