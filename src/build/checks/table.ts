/** All rules, in the order of Docker's reference. */
import * as bases from "./bases.ts";
import { copyIgnoredFile } from "./context.ts";
import * as forms from "./forms.ts";
import * as names from "./names.ts";
import type { Rule } from "./types.ts";
import { secretsUsedInArgOrEnv, undefinedVar } from "./variables.ts";

export const rules: readonly Rule[] = [
  names.stageNameCasing,
  names.fromAsCasing,
  forms.noEmptyContinuation,
  names.consistentInstructionCasing,
  names.duplicateStageName,
  names.reservedStageName,
  forms.jsonArgsRecommended,
  forms.maintainerDeprecated,
  bases.undefinedArgInFrom,
  forms.workdirRelativePath,
  undefinedVar,
  forms.multipleInstructionsDisallowed,
  forms.legacyKeyValueFormat,
  bases.redundantTargetPlatform,
  secretsUsedInArgOrEnv,
  bases.invalidDefaultArgInFrom,
  bases.fromPlatformFlagConstDisallowed,
  copyIgnoredFile,
  forms.invalidDefinitionDescription,
  forms.exposeProtoCasing,
  forms.exposeInvalidFormat,
  bases.invalidBaseImagePlatform,
];
