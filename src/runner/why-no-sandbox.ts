/** Explains how to fix an installed bubblewrap that does not work, from its message and this host's settings. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const PROFILE = 'abi <abi/4.0>, profile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }';
/** Ubuntu since 23.10: a plain user's namespaces have no rights unless an AppArmor profile allows the program. */
const RESTRICTED = '/proc/sys/kernel/apparmor_restrict_unprivileged_userns';
const MOUNTS = '/proc/self/mountinfo';

/**
 * @param said bubblewrap's message
 * @param root where /proc is
 */
export function howToSandbox(said: string, root = '/'): string {
  if (/mount proc/iu.test(said)) return overProc(root);
  if (/seccomp/iu.test(said))
    return 'the kernel must allow seccomp filters (CONFIG_SECCOMP_FILTER), in a container too';
  if (/a process inside/u.test(said))
    return "the bwrap on PATH ignores options: install your distribution's bubblewrap";
  if (read(root, RESTRICTED).trim() === '1') {
    return (
      `AppArmor denies namespaces to plain users of this host: put the line \`${PROFILE}\` into /etc/apparmor.d/bwrap, then ` +
      '`sudo systemctl reload apparmor`, on the host also for its containers; or for all programs ' +
      '`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`'
    );
  }
  return 'bubblewrap needs user namespaces: see its message; in a container, docs/production.md has the options that allow them';
}

/** The kernel allows no new /proc that shows more than the existing one. */
function overProc(root: string): string {
  const mounts = read(root, MOUNTS)
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((place) => place.startsWith('/proc/'));
  if (mounts.some((place) => place.startsWith('/proc/driver/nvidia'))) {
    return (
      'the NVIDIA container toolkit mounts over /proc/driver/nvidia, and the kernel allows no /proc for a sandbox beside that, whatever the ' +
      "container's options: run the worker on the host (docs/production.md, containers with GPUs)"
    );
  }
  const where = mounts.length === 0 ? 'parts of /proc' : mounts.join(', ');
  return `something is mounted over ${where}, and so the kernel allows no /proc for a sandbox: give the container an unmasked one (Docker: systempaths=unconfined; Podman: unmask=ALL)`;
}

function read(root: string, file: string): string {
  try {
    return readFileSync(join(root, file), 'utf8');
  } catch {
    return '';
  }
}
