import type { Kind } from "../project.ts";
import { go, java, rust } from "./compiled.ts";
import { node } from "./node.ts";
import { php } from "./php.ts";
import { python } from "./python.ts";
import { staticSite } from "./static.ts";

/** In the order they are tried: a manifest decides before loose files do. */
export const kinds: readonly Kind[] = [go, rust, java, node, php, python, staticSite];
