/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  setupFiles: ['<rootDir>/test/plain-output.ts'],
  testMatch: ['**/*.test.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' } }] },
  // Two cores: more workers only make real trainings and servers wait for each other.
  maxWorkers: 2,
  // Real servers and processes answer in their own time, above all on a busy machine.
  testTimeout: 120_000,
};
