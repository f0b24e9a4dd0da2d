import { seccompFilter } from '../../src/process/seccomp';

/** Interprets a seccomp program as the kernel does: each struct sock_filter over a struct seccomp_data. */
function result(filter: Buffer, audit: number, number: number, first = 0): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number >>> 0, 0);
  data.writeUInt32LE(audit, 4);
  data.writeUInt32LE(first >>> 0, 16);
  let accumulator = 0;
  for (let at = 0; at < filter.length; at += 8) {
    const code = filter.readUInt16LE(at);
    const operand = filter.readUInt32LE(at + 4);
    if (code === 0x20) accumulator = data.readUInt32LE(operand);
    else if (code === 0x06) return operand;
    else {
      const holds =
        code === 0x15
          ? accumulator === operand
          : code === 0x35
            ? accumulator >= operand
            : (accumulator & operand) !== 0;
      at += 8 * filter.readUInt8(at + (holds ? 2 : 3));
    }
  }
  throw new Error('the program has no end');
}

const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const refuse = (errno: number): number => 0x00050000 | errno;
const [EPERM, ENOSYS, EAFNOSUPPORT] = [1, 38, 97].map(refuse) as [number, number, number];
const CLONE_NEWUSER = 0x10000000;
/** The C library's clone flags for a thread. */
const THREAD = 0x3d0f00;

// The kernel's numbers; attacks.test.ts tests the real kernel on this host's architecture.
describe.each([
  ['x64', 0xc000003e, { read: 0, unshare: 272, setns: 308, mount: 165, clone: 56, socket: 41, keyctl: 250 }],
  [
    'arm64',
    0xc00000b7,
    { read: 63, unshare: 97, setns: 268, mount: 40, clone: 220, socket: 198, keyctl: 219 },
  ],
])('on %s', (architecture, audit, calls) => {
  const filter = seccompFilter(architecture)!;
  const of = (number: number, first?: number): number => result(filter, audit, number, first);

  test('allows ordinary calls, threads and sockets', () => {
    expect(of(calls.read)).toBe(ALLOW);
    expect(of(calls.clone, THREAD)).toBe(ALLOW);
    for (const family of [1, 2, 10, 16]) expect(of(calls.socket, family)).toBe(ALLOW);
  });

  test('refuses namespaces, mounts, keyrings and other sockets', () => {
    for (const number of [calls.unshare, calls.setns, calls.mount, calls.keyctl])
      expect(of(number)).toBe(EPERM);
    for (const bit of [17, 25, 26, 27, 28, 29, 30]) expect(of(calls.clone, THREAD | (1 << bit))).toBe(EPERM);
    expect(of(435, CLONE_NEWUSER)).toBe(ENOSYS);
    for (const family of [0, 3, 17, 38, 40]) expect(of(calls.socket, family)).toBe(EAFNOSUPPORT);
  });

  test('kills the process for a call of another architecture', () => {
    expect(result(filter, 0x40000003, 20)).toBe(KILL);
  });
});

test('reports x32 calls as missing', () => {
  expect(result(seccompFilter('x64')!, 0xc000003e, 272 | 0x40000000)).toBe(ENOSYS);
});

test('has no filter for an unknown architecture', () => {
  expect(seccompFilter('riscv64')).toBeNull();
});
