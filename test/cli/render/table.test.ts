import { table } from '../../../src/cli/render/table';

const columns = [{ head: '#', align: 'right' as const }, { head: 'what' }];

it('aligns columns, and cuts only the last one to the width', () => {
  const rows = [{ cells: ['9', 'short'] }, { cells: ['10', 'a title that is too long for this width'] }];
  expect(table(columns, rows, 20).split('\n')).toEqual([' #  what', ' 9  short', '10  a title that is…']);
});

it('counts the columns of wide and of combining characters', () => {
  const rows = [{ cells: ['1', '学習率を下げる実験'] }, { cells: ['2', 'cafe\u0301 au lait noisette'] }];
  expect(table(columns, rows, 15).split('\n').slice(1)).toEqual(['1  学習率を下…', '2  cafe\u0301 au lai…']);
});

it('paints words and not the space around them', () => {
  const rows = [{ cells: ['1', 'kept'], paint: (text: string) => `<${text}>` }];
  expect(table([{ head: 'number', align: 'right' }, { head: 'what' }], rows, 80).split('\n')[1]).toBe(
    '     <1>  <kept>',
  );
});

it('lays out 10,000 rows at once', () => {
  const rows = Array.from({ length: 10_000 }, (_, index) => ({ cells: [String(index), 'x'.repeat(90)] }));
  expect(table(columns, rows, 80).split('\n')).toHaveLength(10_001);
});
