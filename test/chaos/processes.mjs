/** Looks at the processes of an installation as the kernel knows them; asks nothing of what is being tested. */
import { readdirSync, readFileSync } from 'node:fs';

/** Whoever was there once, by its root: an orphan of a sandbox names nothing of ours. */
const seen = new Map();

/**
 * Every live process of the installation in `root`: those that name it on their command line or in their
 * environment, and all their descendants (a sandbox's environment is cleared), also once those have no parent any more.
 * @param {number} [staleMs] how old the look at all processes may be: many installations may look at once
 * @returns {{ pid: number, parent: number, command: string, role: string, task: string | null }[]}
 */
export function processesOf(root, staleMs = 0) {
  if (!seen.has(root)) seen.set(root, new Set());
  const known = seen.get(root);
  const all = everyProcess(staleMs);
  const isOurs = (each) => known.has(lifeOf(each)) || names(each, root);
  const own = new Set(all.filter((each) => each.pid !== process.pid && isOurs(each)).map(({ pid }) => pid));
  for (let before = -1; before !== own.size;) {
    before = own.size;
    for (const { pid, parent } of all) if (own.has(parent)) own.add(pid);
  }
  const found = all.filter(({ pid }) => own.has(pid));
  for (const each of found) known.add(lifeOf(each));
  return found.map(({ pid, parent, command }) => ({
    pid,
    parent,
    command,
    role: roleOf(command),
    task: taskOf(command),
  }));
}

/** A pid may come again, for somebody else. */
const lifeOf = ({ pid, began }) => `${pid} ${began}`;

/** Those that neither a server nor a worker, nor what it is doing just now, can answer for. */
export function strays(processes) {
  const kept = new Set(
    processes.filter(({ role }) => role === 'server' || role === 'worker').map(({ pid }) => pid),
  );
  for (let before = -1; before !== kept.size;) {
    before = kept.size;
    for (const { pid, parent } of processes) if (kept.has(parent)) kept.add(pid);
  }
  return processes.filter(({ pid }) => !kept.has(pid));
}

/** Sends a signal to each; one that has gone meanwhile is no error. */
export function signal(processes, name) {
  for (const { pid } of processes) {
    try {
      process.kill(pid, name);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }
}

let last = { at: -Infinity, processes: [] };

function everyProcess(staleMs) {
  if (performance.now() - last.at > staleMs) last = { processes: lookAtAll(), at: performance.now() };
  return last.processes;
}

function lookAtAll() {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/u.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      const [state, parent] = fields;
      if (state === 'Z' || state === 'X') return [];
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      return [{ pid: Number(name), parent: Number(parent), began: fields[19], command }];
    } catch {
      return [];
    }
  });
}

/** A process's environment is what its command began with: one look is enough. */
const named = new Map();

function names({ pid, began, command }, root) {
  if (command.includes(root)) return true;
  const key = `${pid} ${began} ${root} ${command}`;
  if (!named.has(key)) {
    let environment = '';
    try {
      environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
    } catch {
      // Gone, or another user's.
    }
    if (environment === '') return false;
    named.set(key, environment.includes(root));
  }
  return named.get(key);
}

function roleOf(command) {
  if (/ server start-dev /u.test(command)) return 'server';
  if (/dist\/worker\.js/u.test(command)) return 'worker';
  if (/process\/supervisor\.py/u.test(command)) return 'supervisor';
  if (/dist\/runner\/main\.js/u.test(command)) return 'runner';
  if (/^\S*python\S* (train|score)\.py/u.test(command)) return 'trainer';
  if (/\/bin\/git |\/real\/git |^git /u.test(command)) return 'git';
  return 'other';
}

/** The folder of a runner's attempt: `…/runs/0003/1/train-1`. */
const taskOf = (command) => /\/[^\s",]+?\/runs\/\d{4}\/\d+\/(?:train|score)-\d+/u.exec(command)?.[0] ?? null;
