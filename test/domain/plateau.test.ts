import { APPROACHES } from '../../src/domain/experiment';
import { plateauOf } from '../../src/domain/plateau';

test('no plateau before k experiments without a keep, then another approach every k, for ever', () => {
  expect(plateauOf(7, 8).approach).toBeNull();
  expect([8, 15, 16, 24, 32, 40].map((since) => plateauOf(since, 8).approach)).toEqual([
    'combine',
    'combine',
    'revert',
    'simplify',
    'radical',
    'program',
  ]);
  expect(plateauOf(8 * (APPROACHES.length + 1), 8).approach).toBe('combine');
});
