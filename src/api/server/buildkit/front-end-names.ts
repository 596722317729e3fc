/** Which front ends are the builder's own, and which are images to be run. */
import { parseReference } from "../../../lib/reference.ts";

/** The Dockerfile's own front ends, and copies of them elsewhere: the builder speaks their language itself. */
const ownFrontend = /(?:^|\/)docker\/dockerfile(?:-upstream)?$/;

/** The image that a `# syntax=` asks for; undefined: it is the builder's own language. @throws InvalidParameter */
export function frontendImage(syntax: string): string | undefined {
  const image = syntax.trim().split(/\s+/, 1)[0]!;
  return ownFrontend.test(parseReference(image).path) ? undefined : image;
}
