import { workerSettings } from '../../src/temporal/worker-settings';

test('variables set them; an empty one counts as unset', () => {
  const usual = workerSettings({ AUTORESEARCH_WORKFLOW_CACHE: '' });
  expect(usual).toEqual(workerSettings({}));
  expect(workerSettings({ AUTORESEARCH_WORKFLOW_CACHE: '0', AUTORESEARCH_ACTIVITY_SLOTS: '7' })).toEqual({
    ...usual,
    cachedWorkflows: 0,
    activitySlots: 7,
  });
});

test.each([
  ['AUTORESEARCH_WORKFLOW_CACHE', '-1'],
  ['AUTORESEARCH_WORKFLOW_SLOTS', '1'],
  ['AUTORESEARCH_ACTIVITY_SLOTS', '1e3'],
  ['AUTORESEARCH_WORKFLOW_POLLERS', '1'],
  ['AUTORESEARCH_ACTIVITY_POLLERS', 'many'],
  ['AUTORESEARCH_ACTIVITY_POLLERS', '101'],
  ['AUTORESEARCH_WORKFLOW_CACHE', '99999999999999999999'],
])('refuses %s=%s with the variable and its range', (name, value) => {
  expect(() => workerSettings({ [name]: value })).toThrow(name);
});
