import { startupCap } from '../../src/domain/startup-cap';

test('the baseline, or a study whose baseline never started, has what lab.yaml allows', () => {
  expect(startupCap(null, 300)).toEqual({ seconds: 300, gpuSeconds: null });
});

test('a candidate has twice what the baseline took and some seconds', () => {
  expect(startupCap({ seconds: 8, gpuSeconds: null }, 300)).toEqual({ seconds: 36, gpuSeconds: null });
  expect(startupCap({ seconds: 70, gpuSeconds: 3 }, 300)).toEqual({ seconds: 160, gpuSeconds: 16 });
});

test('and never more than lab.yaml allows', () => {
  expect(startupCap({ seconds: 250, gpuSeconds: 200 }, 300)).toEqual({ seconds: 300, gpuSeconds: 300 });
});
