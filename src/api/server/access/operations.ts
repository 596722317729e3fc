/** What each operation needs of a token: the one place that says it. A route without a row fails a test. */
import { newContainer } from "./confine.ts";
import {
  checkpoints,
  connection,
  container,
  exec,
  free,
  type Hold,
  image,
  images,
  labelled,
  listed,
  network,
  newExec,
  newVolume,
  observed,
  restored,
  volume,
} from "./holds.ts";

/**
 * `look`: shows and changes nothing. `take`: shows the contents of files and layers, where secrets are. `change`:
 * changes or runs something. `all`: for tokens without restriction.
 */
export type Right = "look" | "take" | "change" | "all";

export interface Operation {
  right: Right;
  /** How a token restricted to labels is held to them; without it such a token may not. */
  hold?: Hold;
}

const look = (hold?: Hold): Operation => ({ right: "look", hold });
const take = (hold?: Hold): Operation => ({ right: "take", hold });
const change = (hold?: Hold): Operation => ({ right: "change", hold });
const all: Operation = { right: "all" };

export const operations: Readonly<Record<string, Operation>> = {
  "GET /_ping": look(free),
  "HEAD /_ping": look(free),
  "GET /version": look(free),
  "GET /info": look(free),
  "GET /plugins": look(free),
  "GET /events": look(observed),
  "GET /system/df": look(),
  "POST /gantry/check": all,
  "POST /auth": change(),

  "GET /containers/json": look(listed),
  "POST /containers/create": change(newContainer),
  "GET /containers/{id}/json": look(container),
  "GET /containers/{id}/top": look(container),
  "GET /containers/{id}/why": look(container),
  "GET /containers/{id}/logs": look(container),
  "GET /containers/{id}/stats": look(container),
  "GET /containers/{id}/changes": look(container),
  "GET /containers/{id}/export": take(container),
  "HEAD /containers/{id}/archive": take(container),
  "GET /containers/{id}/archive": take(container),
  "PUT /containers/{id}/archive": change(container),
  "POST /containers/{id}/start": change(restored),
  "POST /containers/{id}/stop": change(container),
  "POST /containers/{id}/restart": change(container),
  "POST /containers/{id}/kill": change(container),
  "POST /containers/{id}/pause": change(container),
  "POST /containers/{id}/unpause": change(container),
  "POST /containers/{id}/rename": change(container),
  "POST /containers/{id}/update": change(container),
  "POST /containers/{id}/resize": change(container),
  "POST /containers/{id}/wait": change(container),
  "POST /containers/{id}/attach": change(container),
  "GET /containers/{id}/attach/ws": change(container),
  "DELETE /containers/{id}": change(container),
  "DELETE /containers/{id}/{alias}": change(container),
  "POST /containers/prune": change(listed),
  "GET /containers/{id}/checkpoints": look(checkpoints),
  "POST /containers/{id}/checkpoints": change(),
  "DELETE /containers/{id}/checkpoints/{checkpoint}": change(),

  "POST /containers/{id}/exec": change(newExec),
  "POST /exec/{id}/start": change(exec),
  "POST /exec/{id}/resize": change(exec),
  "GET /exec/{id}/json": look(exec),

  "GET /images/json": look(listed),
  "GET /images/search": look(),
  "GET /images/{name*}/json": look(image),
  "GET /images/{name*}/history": look(image),
  "GET /images/{name*}/attestations": look(image),
  "GET /distribution/{name*}/json": look(),
  "GET /distribution/{name*}/manifest": look(),
  "PUT /distribution/{name*}/manifest": change(),
  "GET /images/{name*}/why-big": take(image),
  "GET /images/get": take(images),
  "GET /images/{name*}/get": take(image),
  "POST /images/{name*}/push": change(image),
  "DELETE /images/{name*}": change(image),
  "POST /images/prune": change(listed),
  // These could give another's name to an image, or make one without the labels.
  "POST /images/{name*}/tag": change(),
  "POST /images/create": change(),
  // A tree that is mounted can be read by whoever is on the machine.
  "GET /mounts/images": look(),
  "POST /mounts/images/{name*}": change(),
  "DELETE /mounts/images/{name*}": change(),
  "POST /images/load": change(),
  "POST /commit": change(),
  "POST /build": change(),
  "GET /build/output/{id}": take(),
  "GET /build/history": look(),
  "GET /build/history/{id}": look(),
  "GET /build/history/{id}/logs": take(),
  "DELETE /build/history/{id}": change(),
  "POST /build/prune": change(),
  "POST /build/cancel": change(),
  "POST /session": change(),
  "POST /grpc": change(),

  "GET /networks": look(listed),
  "POST /networks/create": change(labelled("Options")),
  "GET /networks/{id}": look(network),
  "DELETE /networks/{id}": change(network),
  "POST /networks/{id}/connect": change(connection),
  "POST /networks/{id}/disconnect": change(connection),
  "POST /networks/prune": change(listed),

  "GET /volumes": look(listed),
  "POST /volumes/create": change(newVolume),
  "GET /volumes/{name}": look(volume),
  "PUT /volumes/{name}": change(volume),
  "DELETE /volumes/{name}": change(volume),
  "POST /volumes/prune": change(listed),

  "GET /tokens": all,
  "POST /tokens/create": all,
  "DELETE /tokens/{name}": all,
};
