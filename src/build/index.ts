/** The builder: the public face of this folder. The contract is in types.ts. */
import { DockerfileBuilder } from "./builder.ts";
import type { CreateBuilder } from "./types.ts";

export { applyChanges } from "./changes.ts";
export { readInside } from "./definition.ts";
export { BuildStepFailed, DockerfileError } from "./errors.ts";
export { ignorePatterns } from "./files/ignore.ts";
export { fetchContext } from "./files/remote-context.ts";

export const createBuilder: CreateBuilder = (backend) => new DockerfileBuilder(backend);
