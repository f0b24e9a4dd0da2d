/** A required program is missing or has the wrong version. */
export class MissingPrerequisite extends Error {
  override name = 'MissingPrerequisite';
  /**
   * @param message what was found, and what was expected
   * @param todo the remedy, as a sentence or a command line
   */
  constructor(
    message: string,
    readonly todo: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
