import { InvalidParameter } from "../../lib/errors.ts";
import { atLeast, defineCommand, exactly } from "../command.ts";
import { scripts } from "./scripts.ts";

export const command = defineCommand({
  name: "completion",
  usage: "SHELL",
  summary: "Print the completion script of a shell: bash, fish or zsh",
  flags: { "no-descriptions": { kind: "bool", help: "Complete without descriptions" } },
  arity: exactly(1),
  examples: [
    "completion bash > /etc/bash_completion.d/gantry",
    'completion zsh > "$HOME/.zfunc/_gantry"',
    "completion fish > ~/.config/fish/completions/gantry.fish",
  ],
  async run(context, { flags, args: [shell = ""] }) {
    const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
    if (!script)
      throw new InvalidParameter(
        `unknown shell ${JSON.stringify(shell)}: must be one of ${Object.keys(scripts).join(", ")}`,
      );
    context.out(script(!flags["no-descriptions"]));
    return 0;
  },
});

/** A tab and a newline end what a shell reads. */
const oneLine = (text: string) => text.replace(/\s+/g, " ");

/**
 * What the scripts call: `__complete -- WORDS`, the last of which is being written. A suggestion a line, with its
 * description behind a tab; at the end `:files` when file names fit too.
 */
export const complete = defineCommand({
  name: "__complete",
  usage: "-- WORD...",
  summary: "Complete a command line",
  flags: {},
  arity: atLeast(0),
  interspersed: false,
  examples: ["__complete -- container r"],
  async run(context, { args }) {
    const [{ complete: suggest }, { liveNames }, { completeProgram }] = await Promise.all([
      import("./complete.ts"),
      import("./names.ts"),
      import("./program.ts"),
    ]);
    const { suggestions, files } = await suggest(args, liveNames(context), completeProgram);
    const lines = suggestions.map(({ value, help }) => (help ? `${value}\t${oneLine(help)}` : value));
    context.out([...lines, ...(files ? [":files"] : [])].map((line) => `${line}\n`).join(""));
    return 0;
  },
});
