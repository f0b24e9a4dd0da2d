/** What proxy.mjs runs: a relay that can be cut in the ways that networks are. */
import { connect, createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

class Relay {
  #pairs = new Set();
  #state = 'open';

  /** @param {number} port of the relay @param {number} target of the server, on this host */
  constructor(port, target) {
    this.port = port;
    this.target = target;
  }

  listen() {
    return new Promise((resolve, reject) => {
      const server = createServer({ pauseOnConnect: true }, (near) => this.#relay(near));
      server.once('error', reject).listen(this.port, '127.0.0.1', resolve);
    });
  }

  /**
   * `reset`: every connection breaks, and new ones do at once. `silent`: nothing arrives any more, and nobody is told.
   * `open`: as it was; what was on its way in silence arrives late.
   */
  become(state) {
    this.#state = state;
    for (const [near, far] of this.#pairs) {
      if (state === 'reset') for (const socket of [near, far]) socket.resetAndDestroy();
      else if (state === 'silent') for (const socket of [near, far]) socket.pause();
      else for (const socket of [near, far]) socket.resume();
    }
  }

  #relay(near) {
    if (this.#state === 'reset') {
      near.resetAndDestroy();
      return;
    }
    const far = connect({ port: this.target, host: '127.0.0.1' });
    const pair = [near, far];
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [far, near]]) {
      from.on('data', (bytes) => to.write(bytes));
      from.on('error', () => to.destroy());
      from.on('end', () => to.end());
      from.on('close', () => this.#pairs.delete(pair));
      if (this.#state === 'open') from.resume();
      else from.pause();
    }
  }
}

const relay = new Relay(workerData.port, workerData.target);
parentPort.on('message', (state) => relay.become(state));
await relay.listen();
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
parentPort.postMessage('listens');
