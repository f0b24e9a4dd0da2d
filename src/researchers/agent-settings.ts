/** Which folders and environment variables a command's process gets. Everything else is hidden from it. */
import { existsSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import type { LabConfig } from '../labs/lab-yaml';
import { SYSTEM_FOLDERS } from '../runner/sandbox';
import { cacheRoot, configRoot, runtimeRoot, stateRoot } from '../process/paths';
import { withoutTemporalSettings } from '../temporal/hide-settings';

/** An AUTORESEARCH_AGENT_* variable names a path that an agent may not have. */
export class AgentSettingsError extends Error {
  override name = 'AgentSettingsError';
}

/** Variable: folders and files that the agent may write, separated by colons. */
export const WRITES = 'AUTORESEARCH_AGENT_WRITES';
/** Variable: folders and files that the agent may read, separated by colons. */
export const READS = 'AUTORESEARCH_AGENT_READS';
/** Variable: names of further variables for the agent, separated by commas. */
const ENV = 'AUTORESEARCH_AGENT_ENV';

/** The variables for programs, network, language and API keys, which every agent gets. */
const ALLOWED =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TERM|COLORTERM|NO_COLOR|TZ|TMPDIR|(https?|all|no)_proxy|(ANTHROPIC|OPENAI|CLAUDE|CODEX)_\w+)$/i;
/** Variables that name a proxy's certificates; the sandbox shows these files too. */
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

/** Below the home folder: keys and sign-ins. */
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
/** Folders of SYSTEM whose contents may be shown, but not the folder as a whole. Of the other folders nothing may be shown. */
const SHARED_FOLDERS = ['/root', '/home', '/tmp', '/opt', '/srv', '/mnt', '/media', '/var'];

/** The home folder inside the sandbox; `/tmp` for users whose home is `/` or belongs to the system. */
export const agentHome = (): string => (homedir() === '/' || isSystem(homedir()) ? '/tmp' : homedir());

const below = (names: string[]): string[] => names.map((name) => join(homedir(), name));

/**
 * Why the agent may not read or write a folder or file; null when it may.
 * @param closed see `closedFolders`
 */
export function whyHidden(path: string, closed: readonly string[], access: 'read' | 'write'): string | null {
  const places = [path, real(path)];
  const covers = (other: string) => places.some((place) => isInside(other, place));
  const overlaps = (other: string) => covers(other) || places.some((place) => isInside(place, other));
  if (
    places.some((place) => !SHARED_FOLDERS.some((folder) => isInside(place, folder)) && overlapsSystem(place))
  )
    return 'it is a system folder';
  if (places.some((place) => place.split('/').length <= 2) || SYSTEM.some(covers))
    return 'it contains too much';
  if (covers(homedir()) || places.some((place) => dirname(place) === '/home'))
    return 'it contains a whole home folder';
  if ([...closed, stateRoot(), cacheRoot(), configRoot(), runtimeRoot()].map(real).some(overlaps))
    return 'it overlaps the lab, its data or the files of autoresearch';
  if (below(SECRETS).some(overlaps)) return 'it contains keys';
  if (access === 'write' && below(START_UP).some(overlaps)) return 'it contains start-up files or programs';
  return null;
}

const overlapsSystem = (place: string): boolean =>
  SYSTEM.filter((folder) => !SHARED_FOLDERS.includes(folder)).some((folder) => isInside(place, folder));

/** Folders that an agent must not see: the lab, and the folder that `data.source` names. */
export function closedFolders(lab: string, { data }: Pick<LabConfig, 'data'>): string[] {
  return data.source === 'packages' || data.source === 'climbmix' ? [lab] : [lab, resolve(lab, data.source)];
}

/** Checks the declared paths at the start; the first proposal, which also does, comes after the baseline. @throws AgentSettingsError */
export function checkAgentSettings(lab: string, config: Pick<LabConfig, 'data'>): void {
  for (const variable of [WRITES, READS]) declaredPaths(variable, closedFolders(lab, config));
}

/** The absolute paths that AUTORESEARCH_AGENT_READS or AUTORESEARCH_AGENT_WRITES lists. @throws AgentSettingsError */
export function declaredPaths(variable: string, closed: readonly string[]): string[] {
  const names = (process.env[variable] ?? '').split(':').filter(Boolean);
  return names.map((name) => {
    const path = expandHome(name);
    const refuse = (why: string, todo: string) => {
      throw new AgentSettingsError(
        `${variable} names "${name}": ${why}. ${todo}, then run \`autoresearch up\``,
      );
    };
    if (!isAbsolute(path)) refuse('it is not an absolute path', 'Start it with / or ~/');
    if (!existsSync(path)) refuse('it does not exist', 'Create it, or remove it from the variable');
    const why = whyHidden(path, closed, variable === WRITES ? 'write' : 'read');
    if (why !== null) refuse(why, 'Name a folder that contains only what the agent needs');
    return path;
  });
}

export const expandHome = (word: string): string =>
  word.replace(/^(~|\$HOME|\$\{HOME\})(?=\/|$)/, () => homedir());

/** True for paths below the system folders that every sandbox shows read-only. */
export const isSystem = (path: string): boolean =>
  ['/usr', ...SYSTEM_FOLDERS].some((folder) => isInside(path, folder));

/** True if `path` is `folder` or inside it. */
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
