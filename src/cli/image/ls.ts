import { InvalidParameter } from "../../lib/errors.ts";
import { familiar, parseReference } from "../../lib/reference.ts";
import type { ImageSummary } from "../api.ts";
import { between, defineCommand } from "../command.ts";
import { parseFilters } from "../filters.ts";
import { type Row, renderIds, renderListing } from "../format/listing.ts";
import { ago, goTime, humanSize } from "../format/units.ts";

export const command = defineCommand({
  name: "image ls",
  usage: "[OPTIONS] [REPOSITORY[:TAG]]",
  summary: "List images",
  aliases: ["image ls", "image list", "images"],
  flags: {
    all: { kind: "bool", short: "a", help: "Show all images, intermediate ones too" },
    digests: { kind: "bool", help: "Show digests" },
    filter: {
      kind: "list",
      short: "f",
      value: "filter",
      help: "Show those that fit a condition (dangling=true)",
    },
    format: { kind: "string", help: "Format with a Go template, `table TEMPLATE` or `json`" },
    "no-trunc": { kind: "bool", help: "Don't shorten anything" },
    quiet: { kind: "bool", short: "q", help: "Only show image IDs" },
    tree: { kind: "bool", help: "Show the platforms of each image" },
  },
  arity: between(0, 1),
  examples: ["images", "images --filter dangling=true -q", "images --tree"],
  async run(context, { flags, args: [name] }) {
    const filters = parseFilters([...flags.filter, ...(name === undefined ? [] : [`reference=${name}`])]);
    if (flags.tree) {
      for (const other of ["quiet", "digests", "format"] as const)
        if (flags[other]) throw new InvalidParameter(`--${other} is not yet supported with --tree`);
    }
    const images = await context.client.call<ImageSummary[]>("GET", "/images/json", {
      query: { all: flags.all ? 1 : undefined, filters, manifests: flags.tree ? 1 : undefined },
    });
    if (flags.tree) {
      const { renderTree } = await import("./tree.ts");
      context.out(renderTree(images, !flags["no-trunc"]));
      return 0;
    }
    const rows = imageRows(images, { truncate: !flags["no-trunc"], digests: flags.digests, now: Date.now() });
    if (flags.quiet && !flags.format) {
      context.list(renderIds(rows.map(({ ID }) => String(ID))));
      return 0;
    }
    const columns = ["Repository", "Tag", ...(flags.digests ? ["Digest"] : []), "ID", "CreatedSince", "Size"];
    const format = flags.format ?? context.config.imagesFormat;
    const raw = flags.quiet ? "image_id: {{.ID}}" : rawImage(flags.digests);
    context.list(await renderListing({ format, columns, headers: imageHeaders, rows, raw }));
    return 0;
  },
});

const rawImage = (digests: boolean) => `repository: {{.Repository}}
tag: {{.Tag}}
${digests ? "digest: {{.Digest}}\n" : ""}image_id: {{.ID}}
created_at: {{.CreatedAt}}
virtual_size: {{.Size}}
`;

/** Titles of the columns of `images`. */
export const imageHeaders = {
  ID: "IMAGE ID",
  Repository: "REPOSITORY",
  Tag: "TAG",
  Digest: "DIGEST",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  Size: "SIZE",
  Containers: "CONTAINERS",
  VirtualSize: "SIZE",
  SharedSize: "SHARED SIZE",
  UniqueSize: "UNIQUE SIZE",
};

const absent = "<none>";

interface RowOptions {
  truncate: boolean;
  digests: boolean;
  now: number;
}

/** A row for each name of each image; with digests one for each pair that belongs together. */
export function imageRows(images: readonly ImageSummary[], options: RowOptions): Row[] {
  const rows: Row[] = [];
  for (const image of images)
    for (const name of namesOf(image, options.digests)) rows.push(imageRow(image, name, options));
  return rows;
}

interface Name {
  repository: string;
  tag: string;
  digest: string;
}

function namesOf({ RepoTags, RepoDigests }: ImageSummary, digests: boolean): Name[] {
  const tags = splitNames(RepoTags, "<none>:<none>");
  if (tags.length > 0 && !digests) return tags;
  const known = splitNames(RepoDigests, "<none>@<none>");
  if (tags.length === 0) {
    if (known.length === 0) return [{ repository: absent, tag: absent, digest: absent }];
    return digests ? known : known.slice(0, 1);
  }
  return tags.flatMap((tag) => {
    const own = known.filter(({ repository }) => repository === tag.repository);
    return own.length > 0 ? own.map(({ digest }) => ({ ...tag, digest })) : [tag];
  });
}

/** @param none what older engines write for no name */
function splitNames(names: readonly string[] | null, none: string): Name[] {
  const split: Name[] = [];
  for (const name of names ?? []) if (name !== none) split.push(splitName(name));
  return split;
}

/** A name as engines list it. It's theirs to check names; of hundreds that would be most of this command's time. */
function splitName(text: string): Name {
  const name = text.startsWith("docker.io/") ? familiar(parseReference(text)) : text;
  const at = name.indexOf("@");
  if (at >= 0) return { repository: name.slice(0, at), tag: absent, digest: name.slice(at + 1) };
  const colon = name.lastIndexOf(":");
  if (colon < name.lastIndexOf("/") + 1) return { repository: name, tag: absent, digest: absent };
  return { repository: name.slice(0, colon), tag: name.slice(colon + 1), digest: absent };
}

const shortId = (id: string) => (id.startsWith("sha256:") ? id.slice(7, 19) : id.slice(0, 12));

function imageRow(
  image: ImageSummary,
  { repository, tag, digest }: Name,
  { truncate, now }: RowOptions,
): Row {
  const shared = image.SharedSize ?? -1;
  const labels = image.Labels ?? {};
  return {
    ID: truncate ? shortId(image.Id) : image.Id,
    Repository: repository,
    Tag: tag,
    Digest: digest,
    // What the usual table does not show is computed when a template asks for it.
    CreatedSince: ago(image.Created, now),
    get CreatedAt() {
      return goTime(image.Created);
    },
    Size: humanSize(image.Size, 3),
    Containers: (image.Containers ?? -1) < 0 ? "N/A" : String(image.Containers),
    get VirtualSize() {
      return humanSize(image.Size);
    },
    SharedSize: shared < 0 ? "N/A" : humanSize(shared),
    UniqueSize: shared < 0 ? "N/A" : humanSize(image.Size - shared),
    Label: (name) => labels[String(name)] ?? "",
  };
}
