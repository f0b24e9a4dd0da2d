/**
 * `npm test [-- SUITE…]`: the same set-up as `npm start`, then the tests. Suites: unit, e2e, python, chaos; and, left
 * out unless named, production (PostgreSQL, Temporal's own server, Chromium) and check (`npm run check`, as one test). The last line is `N passed, N failed`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compiled, main, root } from './bootstrap.mjs';
import { ensureTemporalServer } from './temporal-server.mjs';

const SUITES = { unit, e2e, python, chaos, production, check };
const USUAL = ['unit', 'e2e', 'python', 'chaos'];
/** Whole studies, and killing them: minutes each. */
const SLOW = ['test/e2e/', 'test/chaos/'];
/** Needs what a user does not: scripts/debian-packages.sh --tests installs it. */
const PRODUCTION = 'test/production/';

/** The runner ended without a report. */
const broken = { passed: 0, failed: 1, skipped: 0 };

await main(async () => {
  const wanted = process.argv.slice(2);
  const unknown = wanted.filter((name) => !Object.hasOwn(SUITES, name));
  if (unknown.length > 0) {
    console.error(
      `error: no such suite: ${unknown.join(', ')}\n  → choose from ${Object.keys(SUITES).join(', ')}`,
    );
    return 2;
  }
  const { ensureTools } = await compiled('host/tools.js');
  const { ensureDevelopmentPython } = await compiled('host/trainer-python.js');
  const trainer = await ensureTools(console.log);
  const development = await ensureDevelopmentPython(console.log);
  // Tests have folders of their own for state; the environment that was just made reaches them by name.
  const env = { ...process.env, AUTORESEARCH_PYTHON: trainer };
  const results = [];
  for (const name of wanted.length > 0 ? wanted : USUAL) {
    console.log(`\n── ${name} ──`);
    results.push({ name, ...(await SUITES[name](env, development)) });
  }
  return report(results);
});

function report(results) {
  console.log('');
  for (const { name, passed, failed, skipped } of results) {
    console.log(`${name}: ${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  }
  const sum = (key) => results.reduce((total, result) => total + result[key], 0);
  console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
  return sum('failed') > 0 || sum('passed') === 0 ? 1 : 0;
}

function unit(env) {
  return jest(env, ['--testPathIgnorePatterns', '/node_modules/', ...SLOW, PRODUCTION]);
}

// Here and below two files at once: they mostly wait, for what servers and trainings take.
function e2e(env) {
  return jest(env, SLOW);
}

async function production(env) {
  await ensureTemporalServer(console.log);
  return jest(env, [PRODUCTION]);
}

async function jest(env, args) {
  const script = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
  const { code, text } = await withReport((file) =>
    run(process.execPath, [script, '--json', '--outputFile', file, ...args], env, 'ignore'),
  );
  if (text === null) return broken;
  const told = JSON.parse(text);
  // A file that does not even load has no failed tests of its own.
  const failed = told.numFailedTests + told.numRuntimeErrorTestSuites;
  return { passed: told.numPassedTests, failed: failed || Number(code !== 0), skipped: told.numPendingTests };
}

async function python(env, interpreter) {
  const { code, text } = await withReport((file) =>
    run(
      interpreter,
      ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', '--junit-xml', file, 'test/trainer'],
      env,
      'inherit',
    ),
  );
  if (text === null) return broken;
  const count = (name) => Number(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`, 'u').exec(text)?.[1] ?? 0);
  const failed = count('failures') + count('errors');
  const skipped = count('skipped');
  return { passed: count('tests') - failed - skipped, failed: failed || Number(code !== 0), skipped };
}

/** One test: that nothing was lost, double, leaked or spent twice. Its lines say what was. */
async function chaos(env) {
  const code = await run(process.execPath, [join(root, 'test', 'chaos', 'main.mjs')], env, 'inherit');
  return { passed: Number(code === 0), failed: Number(code !== 0), skipped: 0 };
}

async function check(env) {
  const code = await run('npm', ['run', 'check', '--silent'], env, 'inherit');
  return { passed: Number(code === 0), failed: Number(code !== 0), skipped: 0 };
}

/** Runs a test runner that writes its report to the file it is given. */
async function withReport(start) {
  const folder = mkdtempSync(join(tmpdir(), 'autoresearch-test-'));
  const file = join(folder, 'report');
  try {
    const code = await start(file);
    return { code, text: existsSync(file) ? readFileSync(file, 'utf8') : null };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs a program with its words let through; jest's JSON on stdout is not for people. */
async function run(command, args, env, stdout) {
  const child = spawn(command, args, { cwd: root, env, stdio: ['inherit', stdout, 'inherit'] });
  const [code] = await once(child, 'close');
  return code;
}
