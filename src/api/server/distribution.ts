/** Endpoints about what is in registries (Engine API, tag "Distribution"), and Gantry's own for manifest lists. */
import * as v from "valibot";
import { registryAuth } from "./auth.ts";
import { strings } from "./fields.ts";
import type { Route } from "./router.ts";

const listSchema = v.object({
  MediaType: v.string("a text is wanted"),
  /** The list's bytes, which make its digest. */
  Raw: v.pipe(v.string("a text is wanted"), v.base64("base64 is wanted")),
  Sources: strings,
});

export const distributionRoutes: Route[] = [
  {
    method: "GET",
    path: "/distribution/{name*}/json",
    async handle(x) {
      const { descriptor, platforms } = await x.engine.images.remoteManifest(x.params.name!, {
        auth: registryAuth(x),
        signal: x.signal,
      });
      const { mediaType, digest, size } = descriptor;
      x.json({ Descriptor: { mediaType, digest, size }, Platforms: platforms });
    },
  },
  {
    method: "GET",
    path: "/distribution/{name*}/manifest",
    async handle(x) {
      const { descriptor, bytes } = await x.engine.images.remoteManifest(x.params.name!, {
        auth: registryAuth(x),
        signal: x.signal,
      });
      x.json({ Descriptor: descriptor, Raw: Buffer.from(bytes).toString("base64") });
    },
  },
  {
    method: "PUT",
    path: "/distribution/{name*}/manifest",
    async handle(x) {
      const { MediaType, Raw, Sources } = await x.body(listSchema);
      const { digest, brought } = await x.engine.images.pushManifestList(
        x.params.name!,
        { mediaType: MediaType, bytes: Buffer.from(Raw, "base64"), sources: Sources },
        { auth: registryAuth(x), signal: x.signal },
      );
      x.json({ Digest: digest, Brought: brought });
    },
  },
];
