import {
  findProposal,
  proposalSchema,
  readProposal,
  storeProposal,
  type Proposal,
} from '../../src/ledger/proposals';
import { git, makeLab } from '../labs/make-lab';

const proposal: Proposal = {
  format: 1,
  title: 'deeper “net”',
  hypothesis: 'Depth\nhelps.',
  edits: [{ path: 'train.py', search: 'DEPTH = 2', replace: 'DEPTH = 3' }],
  dollars: 0.25,
};

test('a proposal is kept as a blob under the study’s refs, and read back', async () => {
  const { git: repository, root } = makeLab();
  expect(await findProposal(repository, 'nov21', 3)).toBeNull();
  const id = await storeProposal(repository, 'nov21', 3, proposal);
  expect(git(root, 'rev-parse', 'refs/autoresearch/nov21/proposal/0003')).toBe(id);
  expect(await readProposal(repository, id)).toEqual(proposal);
});

test('the first proposal of a number wins, also when two come at once', async () => {
  const { git: repository } = makeLab();
  const stored = await Promise.all(
    ['one', 'two', 'three'].map((title) => storeProposal(repository, 'nov21', 1, { ...proposal, title })),
  );
  expect(new Set(stored).size).toBe(1);
  expect(await storeProposal(repository, 'nov21', 1, proposal)).toBe(stored[0]);
});

test.each([
  ['a title of two lines', { ...proposal, title: 'a\nb' }],
  ['an empty title', { ...proposal, title: '' }],
  ['a title of 121 characters', { ...proposal, title: 'a'.repeat(121) }],
  ['an empty search', { ...proposal, edits: [{ path: 'train.py', search: '', replace: 'x' }] }],
  ['an edit that is two', { ...proposal, edits: [{ path: 'train.py', content: '', delete: true }] }],
  ['another format', { ...proposal, format: 2 }],
])('%s is no proposal', (_, value) => {
  expect(proposalSchema.safeParse(value).success).toBe(false);
});

test('a blob that is no proposal is named', async () => {
  const { git: repository, root, base } = makeLab();
  const blob = git(root, 'rev-parse', `${base}:program.md`);
  await expect(readProposal(repository, blob)).rejects.toThrow(blob);
});
