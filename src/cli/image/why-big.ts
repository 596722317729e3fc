import { defineCommand, exactly } from "../command.ts";
import { alignColumns, ellipsis } from "../format/table.ts";
import { humanSize } from "../format/units.ts";
import { platformQuery } from "./platforms.ts";

/** The answer to `GET /images/{name}/why-big`; layers are named by their index. */
interface Weight {
  Id: string;
  Layers: {
    Digest: string;
    CreatedBy: string;
    Compressed: number;
    Bytes: number;
    Files: number;
    Wasted: number;
  }[];
  Files: { Path: string; Size: number; Layer: number }[];
  Waste: { Path: string; Size: number; Layer: number; By: number; How: "overwritten" | "deleted" }[];
}

export const command = defineCommand({
  name: "image why-big",
  usage: "[OPTIONS] IMAGE",
  summary: "Tell what makes an image big, and what of it is wasted",
  flags: {
    json: { kind: "bool", help: "Print JSON" },
    platform: { kind: "string", help: "Platform to choose of an image for several" },
    top: { kind: "int", short: "n", help: "How many files to name", default: "10" },
  },
  arity: exactly(1),
  examples: ["image why-big app", "image why-big --json -n 100 app"],
  async run(context, { flags, args: [name = ""] }) {
    const weight = await context.client.call<Weight>("GET", `/images/${name}/why-big`, {
      query: { limit: flags.top, platform: platformQuery(flags.platform) },
    });
    context.out(flags.json ? `${JSON.stringify(weight, undefined, 2)}\n` : describe(weight));
    return 0;
  },
});

const size = (bytes: number) => humanSize(bytes, 3);

function describe({ Layers, Files, Waste }: Weight): string {
  const sum = (of: (layer: Weight["Layers"][number]) => number) =>
    Layers.reduce((total, layer) => total + of(layer), 0);
  const [bytes, wasted] = [sum((layer) => layer.Bytes), sum((layer) => layer.Wasted)];
  const share = bytes === 0 ? 0 : Math.round((100 * wasted) / bytes);
  const layers = Layers.map((layer, index) => [
    String(index),
    size(layer.Bytes),
    size(layer.Compressed),
    String(layer.Files),
    size(layer.Wasted),
    ellipsis(layer.CreatedBy.replaceAll(/\s+/g, " "), 60),
  ]);
  const files = Files.map((file) => [size(file.Size), String(file.Layer), file.Path]);
  const waste = Waste.map((file) => [
    size(file.Size),
    String(file.Layer),
    `${file.How} by ${file.By}`,
    file.Path,
  ]);
  return [
    `${size(bytes)} in ${Layers.length} layers, ${size(sum((layer) => layer.Compressed))} compressed; ${size(wasted)} (${share}%) wasted`,
    table(["LAYER", "SIZE", "COMPRESSED", "FILES", "WASTED", "CREATED BY"], layers),
    table(["SIZE", "LAYER", "BIGGEST FILES"], files),
    ...(waste.length > 0 ? [table(["SIZE", "LAYER", "LOST", "BIGGEST WASTE"], waste)] : []),
    "",
  ].join("\n");
}

function table(headers: string[], rows: string[][]): string {
  return `\n${alignColumns([headers, ...rows].map((row) => row.join("\t")).join("\n"))}`;
}
