/** What a `command` may try against its host, as root and as a plain user. Everything is real: bubblewrap, git, processes. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FILES, git, makeLab, temporary, write } from '../labs/make-lab';

const NOBODY = 65_534;
/** Every planted text has it; scripts write it in two halves, so as not to find themselves. */
const PLANTED = 'S3CRET';

interface World {
  root: string;
  home: string;
  lab: string;
  base: string;
  env: Record<string, string>;
  prefix: string[];
}

/** A host on which all lies that a command has no business with, owned by the user who runs it. */
function makeWorld(uid: number | null, sandbox: string): World {
  const root = temporary('world');
  const home = join(root, 'home');
  const state = '.local/state/autoresearch';
  const secrets = [
    '.ssh/id_ed25519',
    '.netrc',
    '.aws/credentials',
    '.config/gh/hosts.yml',
    '.bash_history',
    'notes.txt',
    `${state}/labs/aa/other/runs/0001/log`,
    `${state}/server/temporal.db`,
    `${state}/worker/worker.log`,
    '.cache/autoresearch/data/x/val.bin',
    '.cache/autoresearch/data/x/train.bin',
    'lab2/train.py',
  ];
  write(home, Object.fromEntries(secrets.map((name) => [name, `${PLANTED} ${name}\n`])));
  write(home, {
    '.bashrc': '# mine\n',
    '.cache/autoresearch/python/env/lib/site.py': '# env\n',
    '.claude/.credentials.json': '{}\n',
    'agent/helper.sh': 'echo helped\n',
  });
  const made = makeLab({ ...FILES, 'score.py': 'print("score")\n' });
  const lab = join(home, 'lab');
  execFileSync('cp', ['-a', made.root, lab]);
  const object = execFileSync('git', ['hash-object', '-w', '--stdin'], {
    cwd: lab,
    input: `${PLANTED} other study\n`,
  })
    .toString()
    .trim();
  git(lab, 'update-ref', 'refs/autoresearch/other/proposal/0001', object);
  write(lab, { 'data/rows.txt': `${PLANTED} rows in the lab\n` });
  if (uid !== null) execFileSync('chown', ['-R', `${uid}:${uid}`, root]);
  for (let folder = root; folder.startsWith('/tmp/'); folder = join(folder, '..')) chmodSync(folder, 0o755);
  const prefix = uid === null ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--'];
  const env = {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: home,
    AUTORESEARCH_SANDBOX: sandbox,
    LC_ALL: 'C',
    TEMPORAL_API_KEY: `${PLANTED} key`,
    WORKER_SECRET: `${PLANTED} variable`,
  };
  return { root, home, lab, base: made.base, env, prefix };
}

interface Answer {
  proposal?: { hypothesis: string; edits: { path: string; content?: string }[] };
  error?: string;
  objection?: { message: string } | null;
}

const proposalFolder = ({ home }: World) =>
  join(home, '.local/state/autoresearch/labs/bb/mine/proposals/0001');

/** The script lies in the home folder, which is not shown. */
function attack(world: World, script: string): Answer {
  const file = join(world.home, 'agent', 'attack.sh');
  write(world.home, { 'agent/attack.sh': `#!/bin/bash\n${script}\n` });
  chmodSync(file, 0o755);
  const task = { lab: world.lab, base: world.base, folder: proposalFolder(world), command: `${file} --now` };
  const [program, ...args] = [
    ...world.prefix,
    process.execPath,
    join(__dirname, 'researcher-child.js'),
    JSON.stringify(task),
  ];
  const said = execFileSync(program, args, { cwd: '/', env: world.env, encoding: 'utf8', timeout: 110_000 });
  return JSON.parse(said) as Answer;
}

/** Every file with its content, mode and owner, but for what the proposal stores. */
function snapshot({ home }: World): string {
  const find = `find . -path ./.local/state/autoresearch/labs/bb -prune -o -path './.cache/swc*' -prune -o -path ./agent/attack.sh -prune -o`;
  return execFileSync(
    'bash',
    ['-c', `${find} -printf '%p %m %u %s %l\\n' | sort; ${find} -type f -exec sha256sum {} + | sort -k2`],
    { cwd: home, encoding: 'utf8' },
  );
}

const transcriptOf = (world: World): string => {
  const names = readdirSync(proposalFolder(world)).filter((name) => name.startsWith('transcript'));
  return readFileSync(join(proposalFolder(world), names.at(-1) ?? ''), 'utf8');
};

const SEARCH = `word=S3; word=\${word}CRET
{ grep -rIl --exclude-dir=usr --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev "$word" / 2>/dev/null
  grep -l "$word" /proc/[0-9]*/environ 2>/dev/null
  env | grep "$word"
  git cat-file --batch-all-objects --batch 2>/dev/null | grep -a "$word"; } | sort -u >/tmp/found-$$
# One file each, so that what is found cannot look like a key.
echo "FOUND = $(wc -l </tmp/found-$$)" >train.py`;

const WRITE = `try() { if "$@" 2>/dev/null; then echo "DONE: $*"; fi; }
append() { { echo planted >>"$1"; } 2>/dev/null; }
for file in $H/lab/.git/config $H/lab/.git/hooks/post-commit $H/lab/train.py $H/.bashrc $H/.profile $H/.ssh/authorized_keys \\
  $H/.cache/autoresearch/python/env/lib/site.py $H/.cache/autoresearch/data/x/val.bin $H/.local/state/autoresearch/server/temporal.db \\
  $H/agent/helper.sh $H/agent/new; do mkdir -p "$(dirname "$file")" 2>/dev/null; append "$file"; done
try append /usr/lib/planted; try append /etc/planted; try append /planted; try append /dev/planted
try append /proc/sys/kernel/core_pattern; try append /proc/sys/vm/drop_caches; try append /proc/sysrq-trigger
try mount -t tmpfs none /mnt; try mount -o remount,bind,rw /usr; try mount -o remount,bind,rw /; try umount /usr
try unshare -U true; try unshare -Ur true; try unshare -m true; try nsenter -t 1 -m true; try mknod x b 8 0; try chroot / true
grep -q '^CapEff:.0*$' /proc/self/status || echo "DONE: capabilities"
[ "$(ls -d /proc/[0-9]* | wc -l)" -lt 30 ] || echo "DONE: processes of the host"
cp /bin/sh ./sh; chmod u+s ./sh
for device in null zero full random urandom; do try chmod "$(stat -c %a /dev/$device)" /dev/$device; done
git config core.hooksPath /tmp; git commit -q --allow-empty -m x
echo "X = 1" >train.py`;

const isRoot = process.getuid?.() === 0;
const users: [string, number | null][] = isRoot
  ? [
      ['root', null],
      ['nobody', NOBODY],
    ]
  : [['a plain user', null]];

describe.each(users)('as %s', (_name, uid) => {
  test('it finds no data, no other study, no key and nothing of the worker', () => {
    const world = makeWorld(uid, 'bubblewrap');
    expect(attack(world, `H=${world.home}\n${SEARCH}`)).toMatchObject({
      proposal: { edits: [{ path: 'train.py', content: 'FOUND = 0\n' }] },
    });
  });

  test('the same search finds what is planted where there is no sandbox, and the record says so', () => {
    const world = makeWorld(uid, 'none');
    const search = SEARCH.replace('sys --exclude-dir=dev "$word" /', `sys "$word" ${world.home}`);
    const { proposal } = attack(world, search);
    expect(Number(/\d+/.exec(proposal?.edits[0]?.content ?? '')?.[0])).toBeGreaterThan(10);
    expect(transcriptOf(world)).toContain('--- no sandbox (AUTORESEARCH_SANDBOX=none)');
  });

  test('it changes nothing of the host, takes no rights, and its own script works from a hidden folder', () => {
    const world = makeWorld(uid, 'bubblewrap');
    const before = snapshot(world);
    const answer = attack(world, `H=${world.home}\n. "$(dirname "$0")/helper.sh"\n${WRITE}`);
    expect(answer).toMatchObject({ proposal: { edits: [{ path: 'train.py', content: 'X = 1\n' }] } });
    expect(snapshot(world)).toBe(before);
    const said = transcriptOf(world);
    expect(said).toContain('helped');
    expect(said.split('\n').filter((line) => line.startsWith('DONE'))).toEqual([]);
    expect(readdirSync(join(proposalFolder(world), 'worktree'))).toEqual([]);
  });

  test.each(['..', '../..', '../.local/state', '../../../../../..'])(
    'a link to %s that it leaves among the settings of agents shows nothing to the next one',
    (target) => {
      const world = makeWorld(uid, 'bubblewrap');
      const plant = `cd ${world.home}/.claude; for name in rules agents hooks settings.json; do ln -s ${target} $name; done`;
      attack(world, `(${plant}); echo "X = 1" >train.py`);
      expect(readlinkSync(join(world.home, '.claude/rules'))).toBe(target);
      expect(attack(world, `H=${world.home}\n${SEARCH}`)).toMatchObject({
        proposal: { edits: [{ path: 'train.py', content: 'FOUND = 0\n' }] },
      });
    },
  );

  test('programs inside a folder that it may write cannot be written, and links there show nothing', () => {
    const world = makeWorld(uid, 'bubblewrap');
    write(world.home, {
      '.claude/local/claude': '#!/bin/sh\necho ran\n',
      'private/notes': `${PLANTED} notes\n`,
    });
    chmodSync(join(world.home, '.claude/local/claude'), 0o755);
    if (uid !== null) execFileSync('chown', ['-R', `${uid}:${uid}`, world.home]);
    world.env['PATH'] = `${world.home}/.claude/local:${world.home}/.claude/bin:${world.env['PATH']}`;
    const script = `claude; H=${world.home}; echo planted 2>/dev/null >>$H/.claude/local/claude && echo DONE
mkdir -p $H/.claude/bin && ln -s $H/private/notes $H/.claude/bin/notes; echo "X = 1" >train.py`;
    attack(world, script);
    expect(transcriptOf(world)).toMatch(/^ran$/m);
    expect(transcriptOf(world)).not.toMatch(/^DONE$/m);
    expect(attack(world, `H=${world.home}\n${SEARCH}`)).toMatchObject({
      proposal: { edits: [{ path: 'train.py', content: 'FOUND = 0\n' }] },
    });
  });

  test('the text that the validation rows come from is hidden, wherever it lies', () => {
    const world = makeWorld(uid, 'bubblewrap');
    write(world.home, { 'agent/text/val.txt': `${PLANTED} text\n` });
    write(world.lab, { 'lab.yaml': FILES['lab.yaml']!.replace('py] }', `py], source: ../agent/text }`) });
    if (uid !== null) execFileSync('chown', ['-R', `${uid}:${uid}`, world.root]);
    const asOwner = (...args: string[]) =>
      execFileSync(world.prefix[0] ?? 'env', [...world.prefix.slice(1), 'git', ...args], {
        cwd: world.lab,
        env: { ...world.env, GIT_CONFIG_GLOBAL: '/dev/null' },
      });
    asOwner('-c', 'user.name=u', '-c', 'user.email=u@localhost', 'commit', '-qam', 'Own text');
    world.base = asOwner('rev-parse', 'HEAD').toString().trim();
    expect(attack(world, `H=${world.home}\n${SEARCH}`)).toMatchObject({
      proposal: { edits: [{ path: 'train.py', content: 'FOUND = 0\n' }] },
    });
  });

  test.each([
    ['a link to a secret', 'ln -sf $H/.ssh/id_ed25519 train.py', 'train.py was made a symbolic link'],
    ['a pipe', 'rm train.py; mkfifo train.py', 'no regular file'],
    ['a link for a folder', 'rm -r src; ln -s $H/lab/src src', 'no folder any more'],
    ['a huge file', 'truncate -s 1T train.py', 'caps.edit_bytes allows'],
    ['another scorer', 'echo "print(0)" >score.py; echo "X = 1" >train.py', 'score.py was changed'],
    ['a hard link', 'ln -f $H/agent/helper.sh train.py || echo "print(0)" >score.py', 'score.py was changed'],
  ])('%s is sent back', (_what, script, why) => {
    const world = makeWorld(uid, 'bubblewrap');
    const before = snapshot(world);
    expect(attack(world, `H=${world.home}\n${script}`).objection?.message).toContain(why);
    expect(snapshot(world)).toBe(before);
  });

  test.each([
    ['a .git that leads to the lab', 'rm -rf .git; ln -s $H/lab/.git .git'],
    ['a .git that is a file', 'rm -rf .git; echo "gitdir: $H/lab/.git" >.git'],
    ['a submodule', 'git init -q sub; git -C sub commit -q --allow-empty -m x; git submodule add ./sub m'],
    ['closed folders', 'mkdir -p a/b; chmod 0 a'],
    ['hooks and filters', 'echo "touch $H/ran" >.git/hooks/x; git config filter.a.clean "touch $H/ran"'],
  ])('%s does no harm', (_what, script) => {
    const world = makeWorld(uid, 'bubblewrap');
    const before = snapshot(world);
    const { proposal, objection } = attack(world, `H=${world.home}\n${script}\necho "X = 1" >train.py`);
    expect({ objection, edits: proposal?.edits }).toEqual({
      edits: [{ path: 'train.py', content: 'X = 1\n' }],
    });
    expect(snapshot(world)).toBe(before);
    expect(readdirSync(join(proposalFolder(world), 'worktree'))).toEqual([]);
  });

  test('a daemon that it leaves behind edits nothing later', async () => {
    const world = makeWorld(uid, 'bubblewrap');
    const script = `setsid sh -c 'while sleep 0.2; do echo "Y = 1" >>train.py; done' >/dev/null 2>&1 &
echo "X = 1" >train.py`;
    const { proposal } = attack(world, script);
    expect(proposal?.edits).toEqual([{ path: 'train.py', content: 'X = 1\n' }]);
    await sleep(1_000);
    expect(existsSync(join(proposalFolder(world), 'worktree'))).toBe(true);
    expect(readdirSync(join(proposalFolder(world), 'worktree'))).toEqual([]);
  });
});
