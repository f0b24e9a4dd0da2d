/** Holds one git call of an installation just before or just after its work (bin/git), as long as it takes to strike. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class GitTrap {
  #folder;

  /** @param {string} folder where bin/git looks */
  constructor(folder) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /**
   * The next call whose words match is held.
   * @param {'before' | 'after'} when
   * @param {string} pattern as the shell's `case` has it
   */
  arm(when, pattern) {
    rmSync(this.#file('caught'), { force: true });
    writeFileSync(this.#file('armed.part'), `${when}\n${pattern}\n`);
    renameSync(this.#file('armed.part'), this.#file('armed'));
  }

  disarm() {
    rmSync(this.#file('armed'), { force: true });
  }

  /** @returns {number | null} the process that is held */
  caught() {
    try {
      return Number(readFileSync(this.#file('caught'), 'utf8'));
    } catch {
      return null;
    }
  }

  /** Lets a held call go on. */
  release(pid) {
    writeFileSync(this.#file(`${pid}.go`), '');
  }

  #file = (name) => join(this.#folder, name);
}
