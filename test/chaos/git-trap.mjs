/** Holds one git call of an installation just before or just after its work (bin/git), as long as it takes to strike. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
    for (const name of this.#taken()) rmSync(this.#file(name));
    rmSync(this.#file('caught'), { force: true });
    writeFileSync(this.#file('armed.part'), `${when}\n${pattern}\n`);
    renameSync(this.#file('armed.part'), this.#file('armed'));
  }

  /**
   * No call is held from now on, but one may be already, or be about to stand still: whoever takes the trap has it.
   * @returns {number | null} the process to let go
   */
  disarm() {
    rmSync(this.#file('armed'), { force: true });
    const [taken] = this.#taken();
    return taken === undefined ? null : Number.parseInt(taken, 10);
  }

  /** Whether a call stands still. */
  hasCaught = () => existsSync(this.#file('caught'));

  /** Lets a held call go on. */
  release(pid) {
    writeFileSync(this.#file(`${pid}.go`), '');
  }

  #taken = () => readdirSync(this.#folder).filter((name) => name.endsWith('.caught'));
  #file = (name) => join(this.#folder, name);
}
