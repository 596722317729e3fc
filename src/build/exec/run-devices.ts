/** `RUN --device=NAME[,required]`: devices by the Container Device Interface. */
import type { Run } from "../dockerfile/instructions.ts";
import { stepError } from "../errors.ts";

export interface RunDevice {
  /** `vendor.com/class=name`, `vendor.com/class` (the first), `vendor.com/class=*` (all). */
  name: string;
  /** The step fails without it. */
  required: boolean;
}

/** @throws DockerfileError */
export function parseRunDevice(text: string, { range }: Run): RunDevice {
  let name: string | undefined;
  let required = false;
  for (const field of text.split(",")) {
    const flag = /^required(?:=(true|false|1|0))?$/i.exec(field);
    if (flag) required = !/^(?:false|0)$/i.test(flag[1] ?? "");
    else if (name === undefined) name = field.replace(/^name=/, "");
    else throw stepError(range, `unexpected key ${JSON.stringify(field)} in --device=${text}`);
  }
  if (!name) throw stepError(range, `a device needs a name: --device=${text}`);
  return { name, required };
}
