/**
 * The network between a worker and its server. It has a thread of its own: with dozens of installations the driver looks at
 * thousands of processes, and what passes must not wait for that.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

export class Proxy {
  #thread = null;

  /** @param {number} port of the relay @param {number} target of the server, on this host */
  constructor(port, target) {
    this.port = port;
    this.target = target;
  }

  async listen() {
    const workerData = { port: this.port, target: this.target };
    this.#thread = new Worker(new URL('./relay.mjs', import.meta.url), { workerData });
    await once(this.#thread, 'message');
  }

  /** @param {'open' | 'reset' | 'silent'} state */
  become(state) {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#thread.postMessage(state);
  }

  /** Every connection breaks. */
  close() {
    void this.#thread.terminate();
  }
}
