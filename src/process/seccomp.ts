/**
 * The seccomp program that bubblewrap loads: the system calls that a sandbox refuses. Without them a process inside cannot
 * create a namespace, and so cannot regain a dropped capability. The rest expose the host's kernel and no training needs
 * them. We use a table because bubblewrap's `--disable-userns` needs version 0.8 and user namespaces.
 */

type Architecture = 'x64' | 'arm64';

const EPERM = 1;
/** Makes the C library fall back to an older call. */
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

/** Calls refused with any arguments: [number on x86-64, number on aarch64, errno]. */
const REFUSED: Readonly<Record<string, readonly [number, number, number]>> = {
  unshare: [272, 97, EPERM],
  setns: [308, 268, EPERM],
  // Its flags are in memory, which a filter cannot read.
  clone3: [435, 435, ENOSYS],
  mount: [165, 40, EPERM],
  umount2: [166, 39, EPERM],
  pivot_root: [155, 41, EPERM],
  chroot: [161, 51, EPERM],
  open_tree: [428, 428, EPERM],
  move_mount: [429, 429, EPERM],
  fsopen: [430, 430, EPERM],
  fsconfig: [431, 431, EPERM],
  fsmount: [432, 432, EPERM],
  fspick: [433, 433, EPERM],
  mount_setattr: [442, 442, EPERM],
  open_tree_attr: [467, 467, EPERM],
  open_by_handle_at: [304, 265, EPERM],
  // Keyrings belong to a user, not to a namespace; request_key starts a program of the host.
  add_key: [248, 217, EPERM],
  request_key: [249, 218, EPERM],
  keyctl: [250, 219, EPERM],
  bpf: [321, 280, EPERM],
  perf_event_open: [298, 241, EPERM],
  userfaultfd: [323, 282, EPERM],
  // It opens sockets that this filter does not see.
  io_uring_setup: [425, 425, ENOSYS],
  io_uring_enter: [426, 426, ENOSYS],
  io_uring_register: [427, 427, ENOSYS],
  // The kernel's log describes the whole host.
  syslog: [103, 116, EPERM],
};

const ARCHITECTURES = {
  x64: { audit: 0xc000003e, column: 0, clone: 56, socket: 41 },
  arm64: { audit: 0xc00000b7, column: 1, clone: 220, socket: 198 },
} as const;

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const NEW_NAMESPACES = 0x7e020000;
/** AF_UNIX, AF_INET, AF_INET6, AF_NETLINK stay in the network namespace. AF_VSOCK would reach the hypervisor. */
const SOCKET_FAMILIES = [1, 2, 10, 16];
/** System calls of the x32 ABI have numbers from here on. */
const X32 = 0x40000000;

// linux/bpf_common.h, linux/seccomp.h
const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER_EQUAL = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;
const KILL_PROCESS = 0x80000000;
const ALLOW = 0x7fff0000;
const REFUSE = 0x00050000;
// struct seccomp_data; both architectures store an argument's low half first.
const NUMBER_AT = 0;
const AUDIT_AT = 4;
const FIRST_ARGUMENT_AT = 16;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

const load = (at: number): Instruction => [LOAD_WORD, 0, 0, at];
const give = (result: number): Instruction => [RETURN, 0, 0, result];
/** Runs `then` if the comparison is true, else skips it. */
const when = (code: number, operand: number, then: readonly Instruction[]): Instruction[] => [
  [code, 0, then.length, operand],
  ...then,
];

/** The filter for an architecture, as the kernel reads it; null if the table lacks that architecture. */
export function seccompFilter(architecture: string = process.arch): Buffer | null {
  return isKnown(architecture) ? assemble(program(architecture)) : null;
}

const isKnown = (architecture: string): architecture is Architecture =>
  Object.hasOwn(ARCHITECTURES, architecture);

function program(architecture: Architecture): Instruction[] {
  const { audit, column, clone, socket } = ARCHITECTURES[architecture];
  return [
    load(AUDIT_AT),
    [JUMP_EQUAL, 1, 0, audit],
    // 32-bit calls have other numbers, and no program here makes them.
    give(KILL_PROCESS),
    load(NUMBER_AT),
    ...(architecture === 'x64' ? when(JUMP_GREATER_EQUAL, X32, [give(REFUSE | ENOSYS)]) : []),
    ...Object.values(REFUSED).flatMap((row) => when(JUMP_EQUAL, row[column], [give(REFUSE | row[2])])),
    ...when(JUMP_EQUAL, clone, [
      load(FIRST_ARGUMENT_AT),
      ...when(JUMP_ANY_BIT, NEW_NAMESPACES, [give(REFUSE | EPERM)]),
      give(ALLOW),
    ]),
    ...when(JUMP_EQUAL, socket, [
      load(FIRST_ARGUMENT_AT),
      ...SOCKET_FAMILIES.flatMap((family) => when(JUMP_EQUAL, family, [give(ALLOW)])),
      give(REFUSE | EAFNOSUPPORT),
    ]),
    give(ALLOW),
  ];
}

/** struct sock_filter, eight bytes each. */
function assemble(instructions: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(instructions.length * 8);
  for (const [index, [code, ifTrue, ifFalse, operand]] of instructions.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(ifTrue, index * 8 + 2);
    bytes.writeUInt8(ifFalse, index * 8 + 3);
    bytes.writeUInt32LE(operand >>> 0, index * 8 + 4);
  }
  return bytes;
}
