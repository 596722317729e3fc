/** `images --tree`: each image with the platforms it is for, those that are here and those that are not. */
import { formatPlatform } from "../../lib/platform.ts";
import type { ImageSummary, ManifestSummary } from "../api.ts";
import { alignColumns } from "../format/table.ts";
import { humanSize } from "../format/units.ts";

const headers = ["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"];
const inUse = "U";

/** @param images answers with `manifests`, which has what the sizes are taken from */
export function renderTree(images: readonly ImageSummary[], truncate: boolean): string {
  const id = (digest: string) => (truncate ? digest.replace(/^sha256:/, "").slice(0, 12) : digest);
  const rows = images.flatMap((image) => {
    const manifests = (image.Manifests ?? []).filter(({ Kind }) => Kind === "image");
    const used = (image.Containers ?? 0) > 0 || manifests.some(isUsed);
    const several = manifests.length > 1;
    const names = image.RepoTags?.length ? image.RepoTags : ["<untagged>"];
    const children = several ? manifests : [];
    return [
      ...names.map((name, index) =>
        index < names.length - 1
          ? [name, "", "", "", ""]
          : [name, id(image.Id), ...sizes(image.Manifests ?? []), used ? inUse : ""],
      ),
      ...children.map((manifest, index) => [
        `${index < children.length - 1 ? "├─" : "└─"} ${formatPlatform(platformOf(manifest))}`,
        id(manifest.ID),
        ...sizes([manifest]),
        isUsed(manifest) ? inUse : "",
      ]),
    ];
  });
  return `${alignColumns([headers, ...rows].map((row) => row.join("\t")).join("\n"))}\n`;
}

const isUsed = ({ ImageData }: ManifestSummary) => (ImageData?.Containers?.length ?? 0) > 0;

const platformOf = ({ ImageData, Descriptor }: ManifestSummary) =>
  ImageData?.Platform ?? Descriptor.platform ?? { os: "unknown", architecture: "unknown" };

/** On disk, and as it is kept to be pushed. */
function sizes(manifests: readonly ManifestSummary[]): [string, string] {
  const sum = (of: (size: ManifestSummary["Size"]) => number) =>
    humanSize(
      manifests.reduce((total, { Size }) => total + of(Size), 0),
      3,
    );
  return [sum(({ Total }) => Total), sum(({ Content }) => Content)];
}
