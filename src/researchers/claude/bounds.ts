/** How often a conversation may go to and fro. The model is told of these. */

/** Proposals that may be objected to. */
export const OBJECTIONS = 4;
/** Times that the model may look things up. */
export const LOOK_UPS = 8;
