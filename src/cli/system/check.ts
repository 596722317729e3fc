import { allCredentials, encodeAuth } from "../auth/credentials.ts";
import { defineCommand, none } from "../command.ts";
import { humanSize } from "../format/units.ts";

/** `POST /gantry/check`. */
interface CheckReport {
  Blobs: number;
  Bytes: number;
  Problems: { Kind: string; What: string; Images: string[]; Mended: boolean; Reason: string }[];
}

const words: Record<string, string> = {
  "corrupt-blob": "corrupt",
  "missing-blob": "missing",
  "missing-layer": "missing layer",
  "missing-container-layer": "missing layer of container",
};

export const command = defineCommand({
  name: "system check",
  usage: "[OPTIONS]",
  summary: "Read all that is stored and compare it with its digests",
  flags: {
    repair: { kind: "bool", help: "Pull again what is broken" },
    format: { kind: "string", help: "`json` for the report as the engine gives it" },
  },
  arity: none,
  examples: ["system check", "system check --repair"],
  async run(context, { flags }) {
    const report = await context.client.call<CheckReport>("POST", "/gantry/check", {
      query: { repair: flags.repair ? 1 : undefined },
      headers: flags.repair ? { "X-Registry-Config": encodeAuth(await allCredentials(context)) } : undefined,
    });
    const broken = report.Problems.filter(({ Mended }) => !Mended);
    if (flags.format === "json") context.line(JSON.stringify(report));
    else {
      for (const { Kind, What, Images, Mended, Reason } of report.Problems) {
        const of = Images.length > 0 ? ` (of ${Images.join(", ")})` : "";
        const end = Mended ? ": mended" : Reason ? `: not mended: ${Reason}` : "";
        context.line(`${words[Kind] ?? Kind}: ${What}${of}${end}`);
      }
      const read = `${report.Blobs} blobs of ${humanSize(report.Bytes)} read`;
      const hint = broken.length > 0 && !flags.repair ? "; --repair pulls again what registries have" : "";
      context.line(`${read}, ${report.Problems.length} problems${hint}`);
    }
    return broken.length > 0 ? 1 : 0;
  },
});
