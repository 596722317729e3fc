/** Image endpoints (Engine API, tag "Image"). */
import type { ProgressMessage } from "../../engine/types.ts";
import { InvalidParameter, messageOf } from "../../lib/errors.ts";
import type { Platform } from "../../lib/oci.ts";
import { progressText } from "../../lib/progress-bar.ts";
import { parseReference } from "../../lib/reference.ts";
import { registryAuth } from "./auth.ts";
import { imageInspection, imageSummary, imageWeight } from "./encode-image.ts";
import type { Exchange } from "./exchange.ts";
import { parsePlatform, parsePlatforms } from "./fields.ts";
import type { Route } from "./router.ts";

/** How many files `why-big` tells of. */
const defaultBiggest = 10;
const maxBiggest = 1000;
const tarType = "application/x-tar";

export const imageRoutes: Route[] = [
  {
    method: "GET",
    path: "/images/json",
    handle(x) {
      const images = x.engine.images.list({
        all: x.flag("all"),
        // Until 1.41 a name alone was a filter too.
        filters:
          x.version < 41 && x.text("filter") ? { ...x.filters, reference: [x.text("filter")] } : x.filters,
        manifests: x.flag("manifests"),
        sharedSize: x.flag("shared-size"),
      });
      x.versioned(
        images.map((image) => imageSummary(image, x.version)),
        "image list",
      );
    },
  },
  { method: "POST", path: "/images/create", handle: pullOrImport },
  {
    method: "POST",
    path: "/images/load",
    async handle(x) {
      const quiet = x.flag("quiet");
      await progress(x, (report) =>
        x.engine.images.load(
          x.request,
          platforms(x, "platform"),
          (message) => {
            if (!quiet || message.stream !== undefined) report(message);
          },
          x.signal,
        ),
      );
    },
  },
  {
    method: "GET",
    path: "/images/search",
    async handle(x) {
      const limit = x.integer("limit") ?? 0;
      const auth = registryAuth(x);
      const options = { limit, filters: x.filters, auth, signal: x.signal };
      const found = await x.engine.images.search(x.text("term"), options);
      x.json(
        found.map(({ name, description, stars, official, automated }) => ({
          star_count: stars,
          is_official: official,
          name,
          is_automated: automated,
          description,
        })),
      );
    },
  },
  {
    method: "GET",
    path: "/images/get",
    async handle(x) {
      const names = x.query.getAll("names").flatMap((name) => name.split(","));
      if (names.length === 0) throw new InvalidParameter("no images named: names is wanted");
      await x.stream(await x.engine.images.save(names, platforms(x, "platform"), x.signal), tarType);
    },
  },
  {
    method: "GET",
    path: "/images/{name*}/get",
    async handle(x) {
      const image = await x.engine.images.save([x.params.name!], platforms(x, "platform"), x.signal);
      await x.stream(image, tarType);
    },
  },
  {
    method: "POST",
    path: "/images/prune",
    async handle(x) {
      const { deleted, bytes } = await x.engine.images.prune(x.filters);
      x.json({
        ImagesDeleted: deleted.length > 0 ? deleted.map(encodeDeleted) : null,
        SpaceReclaimed: bytes,
      });
    },
  },
  {
    method: "GET",
    path: "/images/{name*}/json",
    handle(x) {
      const manifests = x.flag("manifests");
      const platform = onePlatform(x);
      if (manifests && platform)
        throw new InvalidParameter("conflicting options: manifests and platform options cannot both be set");
      const image = x.engine.images.get(x.params.name!, { platform, manifests });
      x.versioned(imageInspection(image, x.engine.images.details(image.record), x.version), "image");
    },
  },
  {
    method: "GET",
    path: "/images/{name*}/attestations",
    async handle(x) {
      const found = await x.engine.images.attestations(x.params.name!, {
        platform: onePlatform(x),
        types: x.query.getAll("type"),
        statement: x.flag("statement"),
      });
      x.json(
        found.map(({ descriptor, predicateType, statement }) => ({
          Descriptor: descriptor,
          PredicateType: predicateType,
          ...(statement !== undefined && { Statement: statement }),
        })),
      );
    },
  },
  {
    // Gantry's own: what `gantry image why-big` shows.
    method: "GET",
    path: "/images/{name*}/why-big",
    async handle(x) {
      const limit = x.integer("limit") ?? defaultBiggest;
      if (limit < 1 || limit > maxBiggest)
        throw new InvalidParameter(`limit is a number from 1 to ${maxBiggest}`);
      const options = { platform: onePlatform(x), limit };
      x.json(imageWeight(await x.engine.images.weigh(x.params.name!, options, x.signal)));
    },
  },
  {
    method: "GET",
    path: "/images/{name*}/history",
    handle(x) {
      const entries = x.engine.images.history(x.params.name!, onePlatform(x));
      x.json(
        entries.map((entry) => ({
          Id: entry.id,
          Created: Math.floor(entry.createdAt / 1000),
          CreatedBy: entry.createdBy,
          Tags: entry.tags.length > 0 ? entry.tags : null,
          Size: entry.size,
          Comment: entry.comment,
        })),
      );
    },
  },
  {
    method: "POST",
    path: "/images/{name*}/tag",
    handle(x) {
      x.engine.images.tag(x.params.name!, x.text("repo"), x.text("tag"));
      x.empty(201);
    },
  },
  {
    method: "POST",
    path: "/images/{name*}/push",
    async handle(x) {
      const auth = registryAuth(x);
      await progress(x, (report) =>
        x.engine.images.push(
          x.params.name!,
          { tag: x.text("tag") || undefined, platform: onePlatform(x), auth, signal: x.signal },
          report,
        ),
      );
    },
  },
  {
    method: "DELETE",
    path: "/images/{name*}",
    async handle(x) {
      const only = platforms(x, "platforms");
      const removed = await x.engine.images.remove(x.params.name!, {
        force: x.flag("force"),
        noPrune: x.flag("noprune"),
        platforms: only,
      });
      x.json(removed.map(encodeDeleted));
    },
  },
];

/** Platforms as JSON objects, one a parameter or several in an array. @throws InvalidParameter */
function platforms(x: Exchange, name: string): Platform[] {
  return x.query.getAll(name).filter(Boolean).flatMap(parsePlatforms);
}

/** @throws InvalidParameter also when it's several */
function onePlatform(x: Exchange): Platform | undefined {
  const [first, ...rest] = platforms(x, "platform");
  if (rest.length > 0) throw new InvalidParameter("one platform is wanted");
  return first;
}

async function pullOrImport(x: Exchange): Promise<void> {
  const platform = parsePlatform(x.text("platform"));
  const [image, tag, source] = [x.text("fromImage"), x.text("tag"), x.text("fromSrc")];
  if (image !== "") {
    const auth = registryAuth(x);
    // A tag may be a digest too (Engine API, "ImageCreate").
    const reference = tag === "" ? image : tag.includes(":") ? `${image}@${tag}` : `${image}:${tag}`;
    const named = parseReference(reference);
    const allTags = named.tag === undefined && named.digest === undefined;
    await progress(x, (report) =>
      x.engine.images.pull(reference, { allTags, platform, auth, signal: x.signal }, report),
    );
    return;
  }
  if (source === "") throw new InvalidParameter("fromImage or fromSrc is wanted");
  const options = {
    repository: x.text("repo") || undefined,
    tag: tag || undefined,
    message: x.text("message"),
    changes: x.query
      .getAll("changes")
      .flatMap((change) => change.split("\n"))
      .filter(Boolean),
    platform,
  };
  await progress(x, async (report) => {
    const { images } = x.engine;
    const id =
      source === "-"
        ? await images.importTar(x.request, options, x.signal)
        : await images.importUrl(source, options, report, x.signal);
    report({ status: id });
  });
}

/**
 * Answers with JSON messages. What fails before the first gets a status of its own, as with dockerd; afterwards
 * the error is the last message.
 */
async function progress(
  x: Exchange,
  run: (report: (message: ProgressMessage) => void) => Promise<void>,
): Promise<void> {
  let output: ReturnType<Exchange["open"]> | undefined;
  const report = (message: ProgressMessage) => {
    output ??= x.open("application/json");
    output.message(encodeProgress(message));
  };
  try {
    await run(report);
  } catch (error) {
    if (!output) throw error;
    output.message({ errorDetail: { message: messageOf(error) }, error: messageOf(error) });
  }
  output ??= x.open("application/json");
  output.end();
}

/** In dockerd's order. `progress` is for clients that show it as it is: docker-compose 1.x, scripts with docker-py. */
function encodeProgress({ stream, status, progressDetail, id, aux }: ProgressMessage): object {
  if (stream !== undefined) return { stream };
  const progress = progressDetail && progressText(progressDetail);
  return { status, progressDetail, progress: progress || undefined, id, aux };
}

function encodeDeleted(item: { untagged: string } | { deleted: string }) {
  return "untagged" in item ? { Untagged: item.untagged } : { Deleted: item.deleted };
}
