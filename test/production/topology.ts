/** What docker-compose.yml starts, without containers: the same configuration files, the same scripts, a real PostgreSQL. */
import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { packageRoot } from '../../src/process/package-root';
import { toolCache } from '../../src/process/paths';
import { accepts } from '../../src/host/ports';
import { freePort } from '../ports';
import { until } from '../workflows/world';

const READY_SECONDS = 60;

const composeSchema = z.object({
  services: z.record(
    z.string(),
    z.object({
      image: z.string(),
      entrypoint: z.array(z.string()).optional(),
      volumes: z.array(z.string()).optional(),
    }),
  ),
});
const compose = composeSchema.parse(parse(readFileSync(join(packageRoot(), 'docker-compose.yml'), 'utf8')));

/** The command line of a service on this host: what it mounts, taken from where it is mounted from. */
function commandOf(service: string): string[] {
  const { entrypoint, volumes } = compose.services[service]!;
  const mounts = (volumes ?? []).map((mount) => mount.split(':'));
  return entrypoint!.map((word) =>
    mounts.reduce(
      (path, [source = '', target = '']) => path.replace(target, join(packageRoot(), source)),
      word,
    ),
  );
}

export class Topology {
  readonly root = mkdtempSync(join(tmpdir(), 'autoresearch-topology-'));
  /** Of the frontend. */
  address = '';
  #database: ChildProcess | null = null;
  #server: ChildProcess | null = null;
  #env: NodeJS.ProcessEnv = {};
  /** With characters that have a meaning in YAML, in URLs and in shells. */
  readonly #password = `${randomBytes(8).toString('hex')}"'/%@:$`;

  /** Database and schema; the server is started next. */
  static async create(): Promise<Topology> {
    const topology = new Topology();
    const [postgres, frontend, internal, history, matching, worker, ...members] = await Promise.all(
      Array.from({ length: 11 }, async () => String(await freePort())),
    );
    const [frontendMember, internalMember, historyMember, matchingMember, workerMember] = members;
    topology.address = `127.0.0.1:${frontend}`;
    const tools = join(toolCache(), serverFolder());
    topology.#env = {
      PATH: `${tools}:${process.env['PATH']}`,
      POSTGRES_HOST: '127.0.0.1',
      POSTGRES_PORT: postgres,
      POSTGRES_USER: 'temporal',
      POSTGRES_PASSWORD_FILE: join(topology.root, 'password'),
      TEMPORAL_PORT: frontend,
      TEMPORAL_FRONTEND_MEMBERSHIP_PORT: frontendMember,
      TEMPORAL_INTERNAL_PORT: internal,
      TEMPORAL_INTERNAL_MEMBERSHIP_PORT: internalMember,
      TEMPORAL_HISTORY_PORT: history,
      TEMPORAL_HISTORY_MEMBERSHIP_PORT: historyMember,
      TEMPORAL_MATCHING_PORT: matching,
      TEMPORAL_MATCHING_MEMBERSHIP_PORT: matchingMember,
      TEMPORAL_WORKER_PORT: worker,
      TEMPORAL_WORKER_MEMBERSHIP_PORT: workerMember,
      TEMPORAL_LOG_LEVEL: 'warn',
    };
    await topology.#startDatabase(Number(postgres));
    await topology.setUpSchema();
    return topology;
  }

  async #startDatabase(port: number): Promise<void> {
    // Read by the server's scripts and by initdb, which is another user.
    chmodSync(this.root, 0o755);
    writeFileSync(join(this.root, 'password'), this.#password);
    const owner = unprivileged();
    const data = join(this.root, 'data');
    await mkdir(data, { mode: 0o700 });
    if (owner.uid !== undefined) execFileSync('chown', [`${owner.uid}:${owner.gid}`, data]);
    const bin = postgresBin();
    execFileSync(
      join(bin, 'initdb'),
      // prettier-ignore
      ['--pgdata', data, '--username', 'temporal', '--pwfile', join(this.root, 'password'), '--auth', 'scram-sha-256', '--encoding', 'UTF8', '--no-sync'],
      { ...owner, stdio: 'pipe', cwd: this.root },
    );
    this.#database = this.#start(
      // prettier-ignore
      [join(bin, 'postgres'), '-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', data],
      'postgres.log',
      owner,
    );
    await until(
      () => accepts(port),
      (answers) => answers,
      READY_SECONDS,
    );
  }

  /** The init job of docker-compose.yml. */
  async setUpSchema(): Promise<void> {
    const job = this.#start(commandOf('schema'), 'schema.log');
    const [code] = await once(job, 'exit');
    if (code !== 0) throw new Error(`the schema was not set up: ${this.log('schema.log')}`);
  }

  /** @param settings beside those it was made with, such as TEMPORAL_TLS_DIR */
  async startServer(settings: NodeJS.ProcessEnv = {}): Promise<void> {
    Object.assign(this.#env, settings);
    this.#server = this.#start(commandOf('temporal'), 'server.log');
    await until(
      () => accepts(Number(this.address.split(':')[1])),
      (answers) => {
        if (this.#server?.exitCode !== null) throw new Error(`the server ended: ${this.log('server.log')}`);
        return answers;
      },
      READY_SECONDS,
    );
  }

  async killServer(): Promise<void> {
    await end(this.#server, 'SIGKILL');
  }

  log = (name: string): string => readFileSync(join(this.root, name), 'utf8').slice(-4000);

  /** All that the database has, as SQL: every payload in it in hexadecimal. */
  dump(database: string): string {
    const args = [
      '--host',
      '127.0.0.1',
      '--port',
      this.#env['POSTGRES_PORT']!,
      '--username',
      'temporal',
      database,
    ];
    const env = { ...process.env, PGPASSWORD: this.#password };
    return execFileSync(join(postgresBin(), 'pg_dump'), args, { env, encoding: 'utf8', maxBuffer: 1 << 30 });
  }

  async remove(): Promise<void> {
    await end(this.#server, 'SIGKILL');
    await end(this.#database, 'SIGQUIT');
    rmSync(this.root, { recursive: true, force: true });
  }

  #start([command = '', ...args]: string[], log: string, options: SpawnOptions = {}): ChildProcess {
    const file = openSync(join(this.root, log), 'a');
    return spawn(command, args, {
      cwd: this.root,
      env: this.#env,
      stdio: ['ignore', file, file],
      ...options,
    });
  }
}

async function end(child: ChildProcess | null, signal: NodeJS.Signals): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

/** PostgreSQL refuses to run as root: there it runs as the user that Debian's package made. */
function unprivileged(): { uid?: number; gid?: number } {
  if (userInfo().uid !== 0) return {};
  const [uid, gid] = ['-u', '-g'].map((flag) =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }).trim()),
  );
  return { uid: uid!, gid: gid! };
}

function postgresBin(): string {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian) : [];
  const newest = versions.toSorted((a, b) => Number(a) - Number(b)).at(-1);
  if (newest !== undefined) return join(debian, newest, 'bin');
  return execFileSync('pg_config', ['--bindir'], { encoding: 'utf8' }).trim();
}

/** What scripts/temporal-server.mjs has built: the version that docker-compose.yml names. */
function serverFolder(): string {
  const version = compose.services['temporal']!.image.split(':')[1] ?? '';
  const name = `temporal-server-${version}`;
  if (existsSync(join(toolCache(), name))) return name;
  throw new Error(`no Temporal server ${version} in ${toolCache()}: run \`npm test -- production\``);
}
