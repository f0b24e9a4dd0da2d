import { classDifferences, classText } from '../../src/domain/run-class';

test('classes differ in what either has another value of, or lacks', () => {
  expect(classDifferences([])).toEqual([]);
  expect(classDifferences([{ device: 'A' }, { device: 'A' }])).toEqual([]);
  expect(classDifferences([{ device: 'A', lab: 'x' }, { device: 'B', lab: 'x' }, { device: 'A' }])).toEqual([
    'device (A, B)',
    'lab (x, none)',
  ]);
});

test('a hash is shortened, and two that begin alike are still two', () => {
  const hash = 'abcdef0123456789'.repeat(4);
  expect(classText(hash)).toBe('abcdef012345');
  expect(classText('NVIDIA H200')).toBe('NVIDIA H200');
  expect(classDifferences([{ data: hash }, { data: `${hash.slice(0, 63)}0` }])).toHaveLength(1);
});
