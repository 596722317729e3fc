/** What operations are called where people look at them, in BuildKit's words. */
import type { FileAction, Op } from "./types.ts";

export function titleOf({ name, does }: Op): string {
  if (name) return name;
  switch (does.type) {
    case "source":
      return does.identifier;
    case "exec":
      return does.args.join(" ");
    case "file":
      return does.actions.map(actionTitle).join(", ");
    case "build":
      return `build ${does.filename}`;
    case "merge":
      return `merge (${does.inputs.length} inputs)`;
    case "diff":
      return "diff";
  }
}

function actionTitle({ act }: FileAction): string {
  switch (act.type) {
    case "copy":
      return `copy ${act.source} ${act.destination}`;
    case "mkfile":
    case "mkdir":
    case "rm":
      return `${act.type} ${act.path}`;
    case "symlink":
      return `symlink ${act.path} -> ${act.target}`;
  }
}
