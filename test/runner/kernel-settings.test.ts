import { spawn } from 'node:child_process';
import { kernelSettings } from '../../src/runner/kernel-settings';

const LOOKS = 10_000;

describe('what in /proc a sandbox must not write', () => {
  it('is found while processes come and go', () => {
    const comers = [1, 2, 3].map(() =>
      spawn('sh', ['-c', 'while :; do /bin/true; done'], { stdio: 'ignore' }),
    );
    try {
      const first = kernelSettings();
      expect(first).toContain('/proc/sys');
      for (let look = 0; look < LOOKS; look++) expect(kernelSettings()).toHaveLength(first.length);
    } finally {
      for (const comer of comers) comer.kill('SIGKILL');
    }
  });
});
