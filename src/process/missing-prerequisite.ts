/** Something that must be installed is not there, or is not what is needed. */
export class MissingPrerequisite extends Error {
  override name = 'MissingPrerequisite';
  /**
   * @param message what was found, and what was expected
   * @param todo what to do now, as a sentence or a command line
   */
  constructor(
    message: string,
    readonly todo: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
