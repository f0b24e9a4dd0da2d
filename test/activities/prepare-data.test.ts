import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ActivityCancellationDetails } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createEndWork } from '../../src/activities/end-work';
import { createOpenStudy } from '../../src/activities/open-study';
import { DataError, prepareData, studyData, type PreparedData } from '../../src/activities/prepare-data';
import type { StudyConfig } from '../../src/domain/study';
import { appendRecord } from '../../src/ledger/ledger';
import { readLabConfigAt } from '../../src/labs/lab';
import { packageRoot } from '../../src/process/package-root';
import { dataCache, stateRoot, studyState } from '../../src/process/paths';
import { takeDown } from '../../src/host/down';
import { FILES, git, LAB_YAML, makeLab, makeRecord, makeStudy, temporary, write } from '../labs/make-lab';
import { processesWith } from '../runner/workshop';
import { holdElsewhere } from './other-host';

/** Failures are what these tests ask for. */
const newEnvironment = (runId = 'a workflow') =>
  new MockActivityEnvironment(
    { workflowExecution: { workflowId: 'study-nov21', runId } },
    { logger: new DefaultLogger('ERROR') },
  );

const roots = ['XDG_STATE_HOME', 'XDG_CACHE_HOME'] as const;
const before = roots.map((name) => process.env[name]);
beforeEach(() => roots.forEach((name) => (process.env[name] = temporary(name))));
afterAll(() =>
  roots.forEach((name, index) => {
    if (before[index] === undefined) delete process.env[name];
    else process.env[name] = before[index];
  }),
);

/** Counts its runs, prints, and writes a manifest whose hashes are the source's text, or does as the source says. */
const PREPARE = `
import hashlib, json, os, pathlib, sys, time
source, out = sys.argv[sys.argv.index("--source") + 1], pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
runs = out.parent / "runs"
runs.write_text((runs.read_text() if runs.exists() else "") + "x")
text = pathlib.Path(source, "text").read_text() if os.path.isdir(source) else source
print("preparing", sorted(name for name in os.environ if "KEY" in name), os.environ["AUTORESEARCH_PACKAGES"], flush=True)
if text == "slow": time.sleep(1)
while text == "held" and not (out.parent / "go").exists(): time.sleep(0.02)
if text == "forever": time.sleep(600)
if text == "killed": os.kill(os.getpid(), 9)
if text == "bad": print("prepare: too little text", file=sys.stderr); sys.exit(2)
if text == "unlucky": print("no network", file=sys.stderr); sys.exit(1)
if text == "nothing": sys.exit(0)
if text == "cut off": pathlib.Path(f"{out}.exit").write_text(""); os.kill(os.getppid(), 9); sys.exit(2)
hash = hashlib.sha256(text.encode()).hexdigest()
part = lambda name: {"file": name, "rows": 1, "sha256": hash}
out.mkdir()
(out / "manifest.json").write_text(json.dumps({"version": 1, "source": source, "vocabulary": 300, "bos": 0, "row": 9,
  "train": part("train.bin"), "val": part("val.bin") | {"bytes": 10},
  "token_bytes": {"file": "t", "sha256": hash}, "tokenizer": {"file": "t", "sha256": hash}}))
`;

function makeData(text: string, lab = LAB_YAML) {
  const folder = temporary('texts');
  write(folder, { text });
  const yaml = lab.replace('data: {', `data: { source: ${folder},`);
  const { root, git: repository, base } = makeLab({ ...FILES, 'prepare.py': PREPARE, 'lab.yaml': yaml });
  return { root, git: repository, base, folder, study: makeStudy(root, base) };
}

async function prepare(
  { git: repository, study, base }: Pick<ReturnType<typeof makeData>, 'git' | 'study' | 'base'>,
  environment = newEnvironment(),
): Promise<PreparedData> {
  const config = await readLabConfigAt(repository, base);
  return environment.run((each: StudyConfig) => prepareData(each, config, 'python3'), study);
}

/** As the worker opens a study. */
function open(study: StudyConfig): Promise<unknown> {
  const activity = createOpenStudy({
    lane: async () => ({ queue: 'cpu-host', device: 'cpu' }),
    machine: async () => ({ device: 'cpu', torch: '2.15' }),
    prepareData: (each, lab) => prepareData(each, lab, 'python3'),
  });
  return newEnvironment().run(activity, study);
}

/** Another lab in the place of one that was deleted: same path, same tag. */
function madeAnew(old: ReturnType<typeof makeData>, text: string): StudyConfig {
  const next = makeData(text);
  rmSync(old.root, { recursive: true });
  renameSync(next.root, old.root);
  return { ...makeStudy(old.root, next.base), createdAt: '2026-11-21T09:00:00.000Z' };
}

const stateOf = ({ labId, tag }: StudyConfig, ...path: string[]): string =>
  join(studyState(labId, tag), ...path);

const runs = (): number => readFileSync(join(dataCache(), 'runs'), 'utf8').length;
const log = (): string =>
  readFileSync(
    join(dataCache(), readdirSync(dataCache()).find((name) => name.endsWith('.log')) ?? ''),
    'utf8',
  );

test('data is prepared once by the locked prepare.py, and pinned for the study', async () => {
  const place = makeData('some text');
  process.env['SECRET_KEY'] = 'hidden';
  const data = await prepare(place);
  delete process.env['SECRET_KEY'];
  expect(existsSync(join(data.folder, 'manifest.json'))).toBe(true);
  expect(await prepare(place)).toEqual(data);
  expect(await studyData(place.study)).toEqual(data);
  expect(runs()).toBe(1);
  expect(log()).toContain(`preparing [] ${packageRoot()}/node_modules`);
});

test('another study that asks for the same shares it; another text does not', async () => {
  const place = makeData('some text');
  const first = await prepare(place);
  expect(await prepare({ ...place, study: makeStudy(place.root, place.base, 'other') })).toEqual(first);
  write(place.folder, { text: 'other text' });
  const third = await prepare({ ...place, study: makeStudy(place.root, place.base, 'third') });
  expect(third.folder).not.toBe(first.folder);
  expect(third.hash).not.toBe(first.hash);
  expect(runs()).toBe(2);
});

test('the prepare.py of the base is run, not that of the working tree', async () => {
  const place = makeData('some text');
  write(place.root, { 'prepare.py': 'raise SystemExit(2)\n' });
  await expect(prepare(place)).resolves.toBeDefined();
});

test('a study keeps its data when the source changes under it', async () => {
  const place = makeData('some text');
  const data = await prepare(place);
  write(place.folder, { text: 'changed' });
  expect(await prepare(place)).toEqual(data);
  rmSync(data.folder, { recursive: true });
  await expect(studyData(place.study)).rejects.toMatchObject({ name: 'DataGone' });
  expect((await prepare(place)).hash).not.toBe(data.hash);
});

test('a lab made anew at the same place has nothing of the old one: not its data, not its prepare.py, not its money', async () => {
  const old = makeData('old text');
  await open(old.study);
  write(stateOf(old.study, 'proposals', '0001'), { 'spent.jsonl': '{"reserve":1,"id":1}\n' });
  const { hash } = await studyData(old.study);
  const study = madeAnew(old, 'new text');
  await open(study);
  expect((await studyData(study)).hash).not.toBe(hash);
  expect(runs()).toBe(2);
  expect(readFileSync(stateOf(study, 'base', 'lab.yaml'), 'utf8')).toBe(
    readFileSync(join(study.lab, 'lab.yaml'), 'utf8'),
  );
  expect(existsSync(stateOf(study, 'proposals'))).toBe(false);
  // It is put aside, not thrown away.
  const aside = readdirSync(stateOf(study, '..')).find((name) => name.startsWith('nov21.replaced-'));
  expect(existsSync(stateOf(study, '..', aside ?? '', 'proposals', '0001', 'spent.jsonl'))).toBe(true);
});

test('a study that is opened again keeps its state, also that of a version that did not say whose it is', async () => {
  const place = makeData('some text');
  await open(place.study);
  const { hash } = await studyData(place.study);
  write(stateOf(place.study, 'proposals', '0001'), { 'spent.jsonl': '' });
  write(place.folder, { text: 'changed' });
  await open(place.study);
  const fingerprint = { device: 'cpu', torch: '2.15', lab: 'lab', data: hash };
  await appendRecord(
    place.git,
    place.study,
    makeRecord(place.study, 0, { commit: place.base, class: fingerprint }),
  );
  rmSync(stateOf(place.study, 'study.json'));
  await open(place.study);
  expect((await studyData(place.study)).hash).toBe(hash);
  expect(existsSync(stateOf(place.study, 'proposals', '0001', 'spent.jsonl'))).toBe(true);
});

test('without a record the run of the baseline says whose the state is', async () => {
  const { study } = makeData('some text');
  const identity = { commit: 'c', seed: 1, budget: study.budget };
  for (const base of [study.base, 'another']) {
    rmSync(stateOf(study), { recursive: true, force: true });
    write(stateOf(study, 'runs', '0000'), { '1.json': JSON.stringify({ base, ...identity }) });
    await open(study);
    expect(existsSync(stateOf(study, 'runs'))).toBe(base === study.base);
  }
});

test('two studies that prepare the same at once run one preparer', async () => {
  const place = makeData('slow');
  const other = { ...place, study: makeStudy(place.root, place.base, 'other') };
  const [first, second] = await Promise.all([prepare(place), prepare(other)]);
  expect(second).toEqual(first);
  expect(runs()).toBe(1);
});

test('a preparer is found again by the next attempt when its worker goes', async () => {
  const place = makeData('held');
  const environment = newEnvironment();
  const first = prepare(place, environment);
  await started();
  environment.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true }));
  await expect(first).rejects.toThrow(/SHUTDOWN/);
  writeFileSync(join(dataCache(), 'go'), '');
  await prepare(place);
  expect(runs()).toBe(1);
});

test('a preparer that cannot be seen from here is waited for, without haste, until it is done or the study is stopped', async () => {
  const place = makeData('some text');
  const { folder } = await prepare(place);
  rmSync(folder, { recursive: true });
  const holder = await holdElsewhere(`${folder}.lock`);
  try {
    const environment = newEnvironment();
    const stopped = prepare(place, environment);
    stopped.catch(() => undefined);
    const begun = performance.now();
    const launches = new Set<number>();
    while (launches.size < 3) {
      for (const { mtimeMs } of listings()) launches.add(mtimeMs);
      await sleep(5);
    }
    // Each launch begins an interpreter: a wait of hours was a busy core.
    expect(performance.now() - begun).toBeGreaterThan(2 * 2_000);
    environment.cancel('CANCELLED', new ActivityCancellationDetails({ cancelRequested: true }));
    await expect(stopped).rejects.toThrow(/CANCELLED/);
    const waiting = prepare(place);
    holder.kill('SIGKILL');
    expect((await waiting).folder).toBe(folder);
  } finally {
    holder.kill('SIGKILL');
  }
});

/** Of what this installation says that it has begun. */
const listings = (): Stats[] => {
  const working = join(stateRoot(), 'working');
  const files = existsSync(working) ? readdirSync(working).filter((name) => name.endsWith('.json')) : [];
  return files.map((name) => statSync(join(working, name)));
};

test('a study that is stopped ends its preparer', async () => {
  const place = makeData('forever');
  const environment = newEnvironment();
  const first = prepare(place, environment);
  await started();
  environment.cancel('CANCELLED', new ActivityCancellationDetails({ cancelRequested: true }));
  await expect(first).rejects.toThrow(/CANCELLED/);
  write(place.folder, { text: 'some text' });
  await expect(prepare(place)).resolves.toBeDefined();
});

test('a stopped study that has lost its worker leaves no preparer; its next life begins another', async () => {
  const place = makeData('forever');
  const lost = newEnvironment('stopped');
  const first = prepare(place, lost);
  await started();
  const late = prepare(place, newEnvironment('stopped'));
  lost.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true }));
  await expect(first).rejects.toThrow(/SHUTDOWN/);
  const endWork = () =>
    newEnvironment('stopped').run(createEndWork(), { study: place.study, experiment: null });
  await Promise.all([endWork(), endWork()]);
  // One that has not heard of it begins none again.
  await expect(late).rejects.toThrow('was stopped meanwhile');
  expect(preparers()).toEqual([]);
  await endWork();
  write(place.folder, { text: 'some text' });
  await expect(prepare(place, newEnvironment('next'))).resolves.toBeDefined();
});

test('`down` ends a preparer with all that it has started; the next attempt begins another', async () => {
  const place = makeData('forever');
  const environment = newEnvironment();
  const first = prepare(place, environment);
  await started();
  environment.cancel('WORKER_SHUTDOWN', new ActivityCancellationDetails({ workerShutdown: true }));
  await expect(first).rejects.toThrow(/SHUTDOWN/);
  expect(await takeDown(() => undefined)).toMatchObject({ work: ['data for study nov21'] });
  expect(preparers()).toEqual([]);
  expect(await takeDown(() => undefined)).toMatchObject({ work: [] });
  write(place.folder, { text: 'some text' });
  await expect(prepare(place)).resolves.toBeDefined();
});

const preparers = (): string[] => processesWith(dataCache());

/** Waits until the preparer is at work. */
async function started(): Promise<void> {
  while (!existsSync(join(dataCache(), 'runs'))) await sleep(20);
}

test('a text that is at fault is an error that no retry mends; its words are in it', async () => {
  const error = await prepare(makeData('bad')).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(DataError);
  expect(String(error)).toMatch(/python prepare.py ended with exit code 2 .*too little text.*\.log/);
});

test.each([
  ['unlucky', /ended with exit code 1 .*no network/],
  ['killed', /exit code 137/],
  // No space for its exit code, or the power failed while that was written.
  ['cut off', /was killed/],
  ['nothing', /exit code 0 and no manifest.json/],
])('%s may be retried, or says what is missing', async (text, message) => {
  await expect(prepare(makeData(text))).rejects.toThrow(message);
});

test('a source that is not there is told', async () => {
  const place = makeData('x');
  rmSync(place.folder, { recursive: true });
  await expect(prepare(place)).rejects.toThrow(/data.source .* no folder/);
});

test('a folder is named as seen from the lab', async () => {
  const { root, git: repository } = makeLab({
    ...FILES,
    'prepare.py': PREPARE,
    'lab.yaml': LAB_YAML.replace('data: {', 'data: { source: texts,'),
    '.gitignore': 'texts\n',
  });
  mkdirSync(join(root, 'texts'));
  write(root, { 'texts/text': 'inside' });
  const base = git(root, 'rev-parse', 'HEAD');
  const study = makeStudy(root, base);
  await expect(prepare({ git: repository, study, base })).resolves.toBeDefined();
  expect(existsSync(join(studyState(study.labId, study.tag), 'data.json'))).toBe(true);
});
