/**
 * Guards the scorer's interpreter, its environment and its standard library. An inventory of them is taken before any
 * candidate runs, and compared before and after each scoring: a hole in the sandbox then gives no forged score. A file
 * is unchanged while its inode, size, mode and ctime are, because no process can set a ctime. If they differ (a copy,
 * a hard link, a new container), the SHA-256 of the contents decides. Any Python may add bytecode as a cache, so new
 * bytecode is deleted, and Python runs the source. Not covered: system libraries that torch loads later (libstdc++,
 * the GPU's driver), and raw writes to the disk.
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  lstatSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  type BigIntStats,
} from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { z } from 'zod';
import { errorCode } from '../process/error-code';
import { readJsonIfWhole, writeJsonAtomic } from '../process/json-file';
import { cacheRoot } from '../process/paths';
import { outputOf } from '../process/run-program';

/** The scorer's environment has changed: a host error, which a person must look at. */
export class EnvironmentChanged extends Error {
  override name = 'EnvironmentChanged';
}

const inventorySchema = z.strictObject({
  format: z.literal(1),
  python: z.string(),
  /** Folders and files; a root is searched, except for `without`. */
  roots: z.array(z.string()),
  without: z.array(z.string()),
  /** By path: how it stands on the disk, and what it is: a SHA-256, a link's target, or nothing for a folder. */
  files: z.record(z.string(), z.tuple([z.string(), z.string()])),
});
type Inventory = z.infer<typeof inventorySchema>;

/** The state of files on the disk at one moment. */
export interface Snapshot {
  roots: readonly string[];
  without: readonly string[];
  stats: ReadonlyMap<string, string>;
}

/** Entries to check before yielding: the worker has heartbeats to send. */
const ENTRIES_A_TURN = 500;
const ASK_MS = 10 * 60_000;
const SHOWN = 5;

/**
 * Asked when the inventory is taken, and never to check one: asking runs what is in the environment. Of the import path also
 * what is not there yet: Python would read it. Packages inside the standard library's folder that are not on the path belong
 * to another installation.
 */
const ASK = `
import json, os, site, sys
real = lambda paths: sorted({os.path.realpath(p) for p in paths if p})
path = real([*sys.path, *site.getsitepackages()])
roots = path + real([sys.prefix] if sys.prefix != sys.base_prefix else [])
inside = [os.path.join(p, name) for p in roots for name in ("site-packages", "dist-packages")]
mapped = set()
if os.path.exists("/proc/self/maps"):
    with open("/proc/self/maps") as maps:
        parts = [line.split(None, 5) for line in maps]
    mapped = {p[5].strip() for p in parts if len(p) > 5 and "x" in p[1]}
links, at = [], os.path.abspath(sys.argv[1])
while os.path.islink(at) and len(links) < 40:
    links.append(at)
    at = os.path.abspath(os.path.join(os.path.dirname(at), os.readlink(at)))
print(json.dumps({
    "roots": roots + links + real([at, sys.executable, "/bin/sh", *(m for m in mapped if m.startswith("/"))]),
    "without": [p for p in inside if os.path.isdir(p) and os.path.realpath(p) not in path],
}))
`;
const askedSchema = z.strictObject({
  roots: z.array(z.string().startsWith('/')).min(1),
  without: z.array(z.string()),
});

/** Beside the environments, where no sandbox shows it. Clearing the cache removes both, and both are made again. */
export function inventoryFile(python: string): string {
  const key = createHash('sha256').update(python).digest('hex').slice(0, 12);
  return join(cacheRoot(), 'python', `inventory-${key}.json`);
}

const inventoryOf = (python: string): Promise<Inventory | null> =>
  readJsonIfWhole(inventoryFile(python), inventorySchema);

/** Takes the inventory of an interpreter unless it exists: only a person removes one. */
export async function ensureInventory(python: string, take = takeInventory): Promise<void> {
  if ((await inventoryOf(python)) === null) await take(python);
}

/** An environment that is made anew gets another inventory. */
export const forgetInventory = (python: string): Promise<void> => rm(inventoryFile(python), { force: true });

/** Takes the inventory of an interpreter. Reads every byte of it: some 20 s for torch with CUDA. */
export async function takeInventory(python: string): Promise<void> {
  const stdout = await outputOf(python, ['-IB', '-c', ASK, python], { timeoutMs: ASK_MS });
  const { roots: said, without } = askedSchema.parse(JSON.parse(stdout));
  const inside = await snapshot(outermost(said), without);
  const roots = outermost([...said, ...linkedFiles(inside.stats)]);
  const { stats } = await snapshot(roots, without);
  const files: Inventory['files'] = {};
  for (const [path, stat] of stats) files[path] = [stat, await contentOf(path, stat)];
  await mkdir(dirname(inventoryFile(python)), { recursive: true });
  const inventory: Inventory = { format: 1, python, roots, without, files };
  await writeJsonAtomic(inventoryFile(python), inventory);
}

/**
 * Compares an interpreter and its environment with their inventory.
 * @returns a snapshot for `checkUnchanged` afterwards
 * @throws EnvironmentChanged that says what differs and what to do
 */
export async function checkEnvironment(python: string): Promise<Snapshot> {
  const inventory = await inventoryOf(python);
  if (inventory === null) {
    throw new EnvironmentChanged(
      `there is no inventory of ${python}, so changes to it cannot be detected: run \`autoresearch up\`, which takes one, then resume`,
    );
  }
  let now = await snapshot(inventory.roots, inventory.without);
  let found = await differences(inventory.files, now.stats);
  if (found.some(({ path }) => isBytecode(path))) {
    await removeBytecode(found);
    now = await snapshot(inventory.roots, inventory.without);
    found = await differences(inventory.files, now.stats);
  }
  if (found.length > 0) throw changed(python, found.map(inWords));
  await refresh(inventory, now.stats);
  return now;
}

/**
 * Checks that nothing has changed since `before`. A file that existed only for a moment shows in its folder's ctime.
 * @throws EnvironmentChanged
 */
export async function checkUnchanged(what: string, before: Snapshot): Promise<void> {
  const now = await snapshot(before.roots, before.without);
  const paths = new Set([...before.stats.keys(), ...now.stats.keys()]);
  const differs = [...paths].filter((path) => before.stats.get(path) !== now.stats.get(path));
  if (differs.length === 0) return;
  throw new EnvironmentChanged(
    `${what} changed during the scoring, whose score does not count: ${list(differs)}. Expected that nothing writes there; ` +
      'the scoring is repeated once it is as it was',
  );
}

/** Takes a snapshot of folders. */
export async function snapshot(roots: readonly string[], without: readonly string[] = []): Promise<Snapshot> {
  const stats = new Map<string, string>();
  const skipped = new Set(without);
  const todo = [...roots];
  for (let count = 1; todo.length > 0; count++) {
    const path = todo.pop()!;
    if (stats.has(path) || skipped.has(path)) continue;
    const stat = statOf(path);
    if (stat === null) continue;
    stats.set(path, describe(stat));
    if (stat.isDirectory()) for (const name of namesIn(path)) todo.push(`${path}/${name}`);
    if (count % ENTRIES_A_TURN === 0) await turn();
  }
  return { roots, without, stats };
}

/** The kind (`d`, `f`, `l`, `x`), and the attributes that every write changes. */
function describe(stat: BigIntStats): string {
  const kind = stat.isDirectory() ? 'd' : stat.isSymbolicLink() ? 'l' : stat.isFile() ? 'f' : 'x';
  return `${kind} ${stat.mode} ${stat.size} ${stat.ino} ${stat.ctimeNs}`;
}

/** Files elsewhere that links in these folders point to, such as Debian's sitecustomize.py. */
function linkedFiles(stats: ReadonlyMap<string, string>): string[] {
  return [...stats].flatMap(([path, stat]) => {
    if (!stat.startsWith('l')) return [];
    try {
      const target = realpathSync(path);
      return !stats.has(target) && lstatSync(target).isFile() ? [target] : [];
    } catch {
      // A dangling link.
      return [];
    }
  });
}

const isFolder = (stat: string): boolean => stat.startsWith('d');

function statOf(path: string): BigIntStats | null {
  try {
    return lstatSync(path, { bigint: true });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

async function contentOf(path: string, stat: string): Promise<string> {
  if (stat.startsWith('l')) return readlinkSync(path);
  if (!stat.startsWith('f')) return '';
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}

interface Difference {
  path: string;
  how: string;
}

const inWords = ({ path, how }: Difference): string => `${path} ${how}`;

const isBytecode = (path: string): boolean => /\/__pycache__\/[^/]+\.pyc$/.test(path);
/** Python reads the source without its bytecode, so bytecode and its empty folders may be deleted. */
const isBytecodeOrItsFolder = (path: string): boolean => isBytecode(path) || path.endsWith('/__pycache__');

/** If it cannot be removed, it is a difference like any other. */
async function removeBytecode(found: readonly Difference[]): Promise<void> {
  const paths = found.map(({ path }) => path).filter(isBytecode);
  console.warn(`bytecode that was not there when the inventory was taken is removed: ${list(paths)}`);
  await Promise.all(paths.map((path) => rm(path, { force: true }).catch(() => undefined)));
}

/** Reads contents only if a file's attributes have changed. */
async function differences(
  known: Inventory['files'],
  now: ReadonlyMap<string, string>,
): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const [path, stat] of now) {
    const entry = known[path];
    if (entry === undefined) {
      if (isFolder(stat) && path.endsWith('/__pycache__')) continue;
      found.push({ path, how: 'is new' });
    } else if (entry[0] === stat) continue;
    else if (entry[0][0] !== stat[0]) found.push({ path, how: 'is of another kind' });
    else if (!isFolder(stat) && (await contentOf(path, stat)) !== entry[1])
      found.push({ path, how: 'has other contents' });
  }
  for (const path of Object.keys(known)) {
    if (!now.has(path) && !isBytecodeOrItsFolder(path)) found.push({ path, how: 'is gone' });
  }
  return found;
}

/** Stores the new attributes of equal contents, which are then not read again. */
async function refresh(inventory: Inventory, now: ReadonlyMap<string, string>): Promise<void> {
  const files = { ...inventory.files };
  let isStale = false;
  for (const [path, stat] of now) {
    const [before, content] = files[path] ?? [null, ''];
    if (before === stat) continue;
    isStale = true;
    files[path] = [stat, content];
  }
  if (isStale) await writeJsonAtomic(inventoryFile(inventory.python), { ...inventory, files });
}

function changed(python: string, differs: readonly string[]): EnvironmentChanged {
  return new EnvironmentChanged(
    `what scores is not what it was: ${list(differs)}. Nothing is scored with it. If you changed it yourself (a package, an update of ` +
      `the system), remove ${inventoryFile(python)} and run \`autoresearch up\`; if not, something wrote where no candidate may: ` +
      `let the environment of ${python} be made anew (remove it as well, then \`autoresearch up\`). Then resume`,
  );
}

function list(differs: readonly string[]): string {
  const more = differs.length - SHOWN;
  return differs.toSorted().slice(0, SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** Removes folders inside other ones: they are searched with them. */
function outermost(roots: readonly string[]): string[] {
  const all = [...new Set(roots)];
  return all.filter((root) => !all.some((other) => root.startsWith(`${other}/`)));
}
