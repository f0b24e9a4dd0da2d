/** Ends processes, or stops them for a while. */
import { setTimeout as sleep } from 'node:timers/promises';
import { between } from '../random.mjs';
import { signal } from '../processes.mjs';
import { isFinal, liveTasks } from '../runs.mjs';

/**
 * Kills whoever has one of these roles. Runners and trainers that die are named, so that their second attempts are
 * accounted for; what had come to its end by then has no second one.
 */
export function kill(roles, { name = 'SIGKILL', downMs = () => 0 } = {}) {
  return async ({ installation, random, gitToo }) => {
    const victims = installation.only(...roles);
    const tasks = victims.some(({ role }) => /runner|supervisor|trainer/u.test(role))
      ? liveTasks(installation)
      : [];
    signal(victims, name);
    const struck = tasks.filter((task) => !isFinal(task));
    // A git that a dead worker had called goes on by itself, unless it dies as well.
    if (gitToo && roles.includes('worker')) signal(installation.only('git'), 'SIGKILL');
    await sleep(downMs(random));
    return { hit: victims.length, struck };
  };
}

/** As a power cut does: all are stopped first, so that none sees another die. */
export async function everything({ installation }) {
  const victims = installation.processes();
  const tasks = liveTasks(installation);
  signal(victims, 'SIGSTOP');
  signal(victims, 'SIGKILL');
  return { hit: victims.length, struck: tasks.filter((task) => !isFinal(task)) };
}

/** Stops one role for as long as `ms` says. */
export function freeze(role, ms) {
  return async ({ installation, random }) => {
    const victims = installation.only(role);
    signal(victims, 'SIGSTOP');
    await sleep(ms(random));
    signal(victims, 'SIGCONT');
    return { hit: victims.length, struck: [] };
  };
}

/** Two hands at once, after the worker has died or while it lives. */
export async function upTwice({ installation, random }) {
  const victims = random() < 0.5 ? installation.only('worker') : [];
  signal(victims, 'SIGKILL');
  const answers = await Promise.all([installation.up(), installation.up()]);
  const failed = answers.find(({ code }) => code !== 0);
  if (failed !== undefined) throw new Error(`one of two \`up\` failed with ${failed.code}: ${failed.said}`);
  return { hit: victims.length, struck: [] };
}

/**
 * Another worker beside the one of `up`, which works on, is frozen until the other has its work, or dies. The other dies
 * in the end.
 */
export function secondWorker(fate) {
  return async ({ installation, random }) => {
    const first = installation.only('worker');
    if (fate !== 'works on') signal(first, fate === 'is frozen' ? 'SIGSTOP' : 'SIGKILL');
    installation.startSecondWorker();
    // Longer than a heartbeat's timeout and the start of a worker.
    await sleep(between(33_000, 37_000)(random));
    if (fate === 'is frozen') signal(first, 'SIGCONT');
    await sleep(between(0, 2_000)(random));
    const pids = new Set(first.map(({ pid }) => pid));
    const second = installation.only('worker').filter(({ pid }) => !pids.has(pid));
    signal(second, 'SIGKILL');
    return { hit: second.length, struck: [] };
  };
}
