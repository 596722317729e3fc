/** The builder: the public face of this folder. The contract is in types.ts. */
import { DockerfileBuilder } from "./builder.ts";
import type { CreateBuilder } from "./types.ts";

export { parseAttestations } from "./attest/options.ts";
export { cacheSourceOf, parseCacheSource, parseCacheTarget } from "./cache/options.ts";
export { applyChanges } from "./changes.ts";
export { readInside } from "./definition.ts";
export { syntaxOf } from "./dockerfile/lex.ts";
export { BuildStepFailed, DockerfileError } from "./errors.ts";
export { runnablePlatforms } from "./exec/emulation.ts";
export { parseOutput } from "./export/parse.ts";
export { exporterResponse } from "./export/response.ts";
export { resolveInside } from "./files/inside.ts";
export { ReceivedContext } from "./files/received.ts";
export { fetchContext } from "./files/remote-context.ts";

export {
  describeAnswer,
  lintAnswer,
  outlineAnswer,
  type Subrequest,
  type SubrequestAnswer,
  subrequests,
  targetsAnswer,
} from "./outline/answers.ts";

export const createBuilder: CreateBuilder = (backend) => new DockerfileBuilder(backend);
