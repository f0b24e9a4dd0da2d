/** What the user lets a command's process have: folders, and variables of the environment. All else is not there. */
import { existsSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import type { LabConfig } from '../labs/lab-yaml';
import { SYSTEM_FOLDERS } from '../runner/sandbox';
import { cacheRoot, configRoot, runtimeRoot, stateRoot } from '../process/paths';
import { withoutTemporalSettings } from '../temporal/hide-settings';

/** A variable that lets an agent have more names something that it may not have. */
export class AgentSettingsError extends Error {
  override name = 'AgentSettingsError';
}

/** Folders and files that may be written, separated by colons. */
export const WRITES = 'AUTORESEARCH_AGENT_WRITES';
/** The same for what may be read. */
export const READS = 'AUTORESEARCH_AGENT_READS';
/** Names of variables, separated by commas. */
const ENV = 'AUTORESEARCH_AGENT_ENV';

/** What an agent needs to find its programs, the network, its language and its key. */
const ALLOWED =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TERM|COLORTERM|NO_COLOR|TZ|TMPDIR|(https?|all|no)_proxy|(ANTHROPIC|OPENAI|CLAUDE|CODEX)_\w+)$/i;
/** Certificates of a proxy: these files are shown too. */
export const CERTIFICATES = [
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_EXTRA_CA_CERTS',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'GIT_SSL_CAINFO',
];

/** The variables of `env` that an agent is given. */
export function agentEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const declared = new Set((env[ENV] ?? '').split(/[\s,]+/).filter(Boolean));
  return Object.fromEntries(
    Object.entries(withoutTemporalSettings(env)).filter(
      ([name]) => ALLOWED.test(name) || CERTIFICATES.includes(name) || declared.has(name),
    ),
  );
}

/** Below the home folder: keys, and what another program runs or trusts. */
const SECRETS = ['.ssh', '.gnupg', '.aws', '.azure', '.kube', '.docker', '.netrc', '.git-credentials'].concat(
  ['.config/gh', '.config/gcloud', '.config/git', '.npmrc', '.pypirc', '.password-store', '.mozilla'],
  ['.local/share/keyrings', '.cargo/credentials.toml'],
);
const START_UP = ['.profile', '.bashrc', '.bash_profile', '.bash_login', '.bash_logout', '.zshrc'].concat(
  ['.zshenv', '.zprofile', '.zlogin', '.zlogout', '.kshrc', '.cshrc', '.tcshrc', '.login', '.inputrc'],
  ['.xprofile', '.xsession', '.pam_environment', '.gitconfig', '.config/fish', '.config/systemd'],
  ['.config/autostart', '.config/environment.d', '.local/bin'],
);
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/etc', '/boot'].concat([
  '/proc',
  '/sys',
  '/dev',
  '/run',
  '/var',
  '/var/tmp',
  '/root',
  '/home',
  '/tmp',
  '/opt',
  '/srv',
  '/mnt',
  '/media',
]);
/** Of these only what lies inside may be shown; of the others in SYSTEM nothing. */
const SHARED_FOLDERS = ['/root', '/home', '/tmp', '/opt', '/srv', '/mnt', '/media', '/var'];

/** The user's home folder as it is inside; users without one have `/`, or one of the system's. */
export const agentHome = (): string => (homedir() === '/' || isSystem(homedir()) ? '/tmp' : homedir());

const below = (names: string[]): string[] => names.map((name) => join(homedir(), name));

/**
 * Why a folder or file may not be shown or written; null where it may.
 * @param closed the lab, and the text that its data is made from
 */
export function whyHidden(path: string, closed: readonly string[], access: 'read' | 'write'): string | null {
  const places = [path, real(path)];
  const covers = (other: string) => places.some((place) => isInside(other, place));
  const overlaps = (other: string) => covers(other) || places.some((place) => isInside(place, other));
  if (
    places.some((place) => !SHARED_FOLDERS.some((folder) => isInside(place, folder)) && overlapsSystem(place))
  )
    return 'it belongs to the system';
  if (places.some((place) => place.split('/').length <= 2) || SYSTEM.some(covers)) return 'it holds too much';
  if (covers(homedir()) || places.some((place) => dirname(place) === '/home'))
    return 'it holds a whole home folder';
  if ([...closed, stateRoot(), cacheRoot(), configRoot(), runtimeRoot()].map(real).some(overlaps))
    return 'it holds, or belongs to, the lab, its data or what autoresearch stores';
  if (below(SECRETS).some(overlaps)) return 'it holds keys';
  if (access === 'write' && below(START_UP).some(overlaps)) return 'it holds start-up files or programs';
  return null;
}

const overlapsSystem = (place: string): boolean =>
  SYSTEM.filter((folder) => !SHARED_FOLDERS.includes(folder)).some((folder) => isInside(place, folder));

/** What an agent must not see beside what autoresearch stores: the lab, and a folder that `data.source` names. */
export function closedFolders(lab: string, { data }: Pick<LabConfig, 'data'>): string[] {
  return data.source === 'packages' || data.source === 'climbmix' ? [lab] : [lab, resolve(lab, data.source)];
}

/** Fails as the first proposal would, which comes only after the baseline. @throws AgentSettingsError */
export function checkAgentSettings(lab: string, config: Pick<LabConfig, 'data'>): void {
  for (const variable of [WRITES, READS]) declaredPaths(variable, closedFolders(lab, config));
}

/** The paths that a variable declares. @throws AgentSettingsError */
export function declaredPaths(variable: string, closed: readonly string[]): string[] {
  const names = (process.env[variable] ?? '').split(':').filter(Boolean);
  return names.map((name) => {
    const path = expandHome(name);
    const refuse = (why: string, todo: string) => {
      throw new AgentSettingsError(
        `${variable} names "${name}": ${why}; ${todo}, and run \`autoresearch up\``,
      );
    };
    if (!isAbsolute(path)) refuse('it is no absolute path', 'write it from / or ~/ on');
    if (!existsSync(path)) refuse('there is no such file or folder', 'make it, or leave it out');
    const why = whyHidden(path, closed, variable === WRITES ? 'write' : 'read');
    if (why !== null) refuse(why, 'name a folder that holds only what the agent needs');
    return path;
  });
}

export const expandHome = (word: string): string =>
  word.replace(/^(~|\$HOME|\$\{HOME\})(?=\/|$)/, () => homedir());

/** What every sandbox has, read-only. */
export const isSystem = (path: string): boolean =>
  ['/usr', ...SYSTEM_FOLDERS].some((folder) => isInside(path, folder));

/** Is it that folder, or in it? */
export function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === '' || (way !== '..' && !way.startsWith('../') && !isAbsolute(way));
}

export function real(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
