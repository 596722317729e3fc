import { InvalidParameter } from "../../lib/errors.ts";
import { familiarName, parseReference } from "../../lib/reference.ts";
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
      context.out(renderIds(rows.map(({ ID }) => String(ID))));
      return 0;
    }
    const columns = ["Repository", "Tag", ...(flags.digests ? ["Digest"] : []), "ID", "CreatedSince", "Size"];
    const format = flags.format ?? context.config.imagesFormat;
    context.out(await renderListing({ format, columns, headers: imageHeaders, rows }));
    return 0;
  },
});

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
  return images.flatMap((image) =>
    namesOf(image, options.digests).map((name) => imageRow(image, name, options)),
  );
}

interface Name {
  repository: string;
  tag: string;
  digest: string;
}

function namesOf({ RepoTags, RepoDigests }: ImageSummary, digests: boolean): Name[] {
  const tags = (RepoTags ?? []).filter((tag) => tag !== "<none>:<none>").map(parseReference);
  const known = (RepoDigests ?? []).filter((digest) => digest !== "<none>@<none>").map(parseReference);
  if (tags.length === 0) {
    const [first] = known;
    if (!first) return [{ repository: absent, tag: absent, digest: absent }];
    const named = digests ? known : [first];
    return named.map((name) => ({
      repository: familiarName(name),
      tag: absent,
      digest: name.digest ?? absent,
    }));
  }
  return tags.flatMap((tag) => {
    const repository = familiarName(tag);
    const own = digests ? known.filter((digest) => familiarName(digest) === repository) : [];
    const digestTexts = own.length > 0 ? own.map(({ digest }) => digest ?? absent) : [absent];
    return digestTexts.map((digest) => ({ repository, tag: tag.tag ?? absent, digest }));
  });
}

function imageRow(
  image: ImageSummary,
  { repository, tag, digest }: Name,
  { truncate, now }: RowOptions,
): Row {
  const size = humanSize(image.Size, 3);
  const shared = image.SharedSize ?? -1;
  const labels = image.Labels ?? {};
  return {
    ID: truncate ? image.Id.replace(/^sha256:/, "").slice(0, 12) : image.Id,
    Repository: repository,
    Tag: tag,
    Digest: digest,
    CreatedSince: ago(image.Created, now),
    CreatedAt: goTime(image.Created),
    Size: size,
    Containers: (image.Containers ?? -1) < 0 ? "N/A" : String(image.Containers),
    VirtualSize: humanSize(image.Size),
    SharedSize: shared < 0 ? "N/A" : humanSize(shared),
    UniqueSize: shared < 0 ? "N/A" : humanSize(image.Size - shared),
    Label: (name) => labels[String(name)] ?? "",
  };
}
