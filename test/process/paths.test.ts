import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { runtimeRoot } from '../../src/process/paths';

const given = process.env['XDG_RUNTIME_DIR'];
const ELSEWHERE = join(tmpdir(), `autoresearch-${userInfo().uid}`);
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rt-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  if (given === undefined) delete process.env['XDG_RUNTIME_DIR'];
  else process.env['XDG_RUNTIME_DIR'] = given;
});

function rootWith(runtime: string): string {
  process.env['XDG_RUNTIME_DIR'] = runtime;
  return runtimeRoot();
}

describe('the folder of sockets', () => {
  test('is in XDG_RUNTIME_DIR, also if that does not exist yet', () => {
    expect(rootWith(folder)).toBe(join(folder, 'autoresearch'));
    expect(rootWith(join(folder, 'new', 'er'))).toBe(join(folder, 'new', 'er', 'autoresearch'));
    expect(existsSync(join(folder, 'new'))).toBe(false);
  });

  test('is elsewhere if XDG_RUNTIME_DIR is too long or relative', () => {
    expect(rootWith(join(folder, 'x'.repeat(40)))).toBe(ELSEWHERE);
    expect(rootWith('run')).toBe(ELSEWHERE);
  });
});

// Root can write everywhere, and only root can change a folder's owner.
const isRoot = userInfo().uid === 0;

(isRoot ? describe.skip : describe)('for a plain user', () => {
  test('is elsewhere if XDG_RUNTIME_DIR is not writable', () => {
    chmodSync(folder, 0o500);
    expect(rootWith(folder)).toBe(ELSEWHERE);
    chmodSync(folder, 0o700);
  });
});

(isRoot ? describe : describe.skip)('for root', () => {
  test('is elsewhere if another user owns XDG_RUNTIME_DIR or our folder in it', () => {
    mkdirSync(join(folder, 'autoresearch'));
    chownSync(join(folder, 'autoresearch'), 65_534, 65_534);
    expect(rootWith(folder)).toBe(ELSEWHERE);
    chownSync(join(folder, 'autoresearch'), 0, 0);
    expect(rootWith(folder)).toBe(join(folder, 'autoresearch'));
    rmSync(join(folder, 'autoresearch'), { recursive: true });
    chownSync(folder, 65_534, 65_534);
    expect(rootWith(folder)).toBe(ELSEWHERE);
    expect(rootWith(join(folder, 'run'))).toBe(ELSEWHERE);
  });
});
