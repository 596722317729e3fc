/** The classic builder's endpoint (Engine API, "ImageBuild") and the build cache's. */
import * as v from "valibot";
import type { BuildEvent } from "../../build/types.ts";
import { InvalidParameter, messageOf, NotImplemented } from "../../lib/errors.ts";
import { registryConfig } from "./auth.ts";
import { type Exchange, parseJson, validate } from "./exchange.ts";
import { field, parsePlatform, stringMap, whole } from "./fields.ts";
import type { Route } from "./router.ts";

const argsSchema = field(v.record(v.string(), v.nullable(v.string())), {});
const ulimitsSchema = field(v.array(v.object({ Name: v.string(), Soft: whole, Hard: whole })), []);

export const buildRoutes: Route[] = [
  { method: "POST", path: "/build", handle: build },
  {
    method: "POST",
    path: "/build/prune",
    async handle(x) {
      const { removed, bytes } = await x.engine.builds.prune({ all: x.flag("all"), filters: x.filters });
      x.json({ CachesDeleted: removed.length > 0 ? removed : null, SpaceReclaimed: bytes });
    },
  },
];

async function build(x: Exchange): Promise<void> {
  if (x.text("version") === "2")
    throw new NotImplemented("BuildKit's protocol is not supported yet: build with DOCKER_BUILDKIT=0");
  if (x.text("remote") !== "") throw new NotImplemented("remote contexts are not supported yet");
  const parameter = <S extends v.GenericSchema>(name: string, schema: S) => {
    const text = x.text(name);
    return validate(schema, text === "" ? undefined : parseJson(text, `invalid ${name}`));
  };
  const number = (name: string) => x.integer(name) || undefined;
  const request = {
    dockerfile: { path: x.text("dockerfile") || "Dockerfile" },
    buildArgs: parameter("buildargs", argsSchema),
    labels: parameter("labels", field(stringMap, {})),
    target: x.text("target") || undefined,
    platform: parsePlatform(x.text("platform")),
    noCache: x.flag("nocache"),
    pull: x.flag("pull"),
    networkMode: x.text("networkmode") || "default",
    extraHosts: x.query.getAll("extrahosts").flatMap((hosts) => hosts.split(",")),
    shmSize: number("shmsize"),
    limits: {
      memory: number("memory"),
      memorySwap: number("memswap"),
      cpuShares: number("cpushares"),
      cpuQuota: number("cpuquota"),
      cpuPeriod: number("cpuperiod"),
      cpusetCpus: x.text("cpusetcpus") || undefined,
    },
    ulimits: parameter("ulimits", ulimitsSchema).map(({ Name, Soft, Hard }) => ({
      name: Name,
      soft: Soft,
      hard: Hard,
    })),
    tags: x.query.getAll("t").filter(Boolean),
    auth: registryConfig(x),
  };
  if (x.flag("squash")) throw new InvalidParameter("squash is not supported: use a multi-stage build");

  const quiet = x.flag("q");
  let output: ReturnType<Exchange["open"]> | undefined;
  const stream = (text: string) => {
    output ??= x.open("application/json");
    output.message({ stream: text });
  };
  const screen = new ClassicScreen(quiet ? () => {} : stream);
  try {
    const { imageId, warnings } = await x.engine.builds.build(
      x.request,
      request,
      (event) => screen.show(event),
      x.signal,
    );
    output ??= x.open("application/json");
    if (!quiet) {
      output.message({ aux: { ID: imageId } });
      for (const warning of warnings) stream(`[Warning] ${warning}\n`);
      stream(`Successfully built ${imageId.slice(7, 19)}\n`);
      for (const tag of request.tags)
        stream(
          `Successfully tagged ${tag.includes(":", tag.lastIndexOf("/") + 1) ? tag : `${tag}:latest`}\n`,
        );
    } else stream(`${imageId}\n`);
  } catch (error) {
    // Wrong input gets a status; once steps were shown, the error is the last of what is shown.
    if (!output) throw error;
    const code = (error as { exitCode?: unknown }).exitCode;
    output.message({
      errorDetail: { ...(typeof code === "number" && { code }), message: messageOf(error) },
      error: messageOf(error),
    });
  }
  output.end();
}

/** Draws a build's events as the classic builder does: `Step 2/5 : RUN make`, output, ` ---> 0123456789ab`. */
export class ClassicScreen {
  /** Steps run side by side; each is shown whole, the first at once and the others when their turn comes. */
  readonly #waiting = new Map<string, string[]>();
  #current: string | undefined;

  constructor(private readonly write: (text: string) => void) {}

  show(event: BuildEvent): void {
    if (event.type === "warning") {
      this.write(`[Warning] ${event.message}\n`);
      return;
    }
    if (event.type === "progress") return;
    if (event.type === "log") {
      this.#put(event.id, Buffer.from(event.data).toString("utf8"));
      return;
    }
    if (!event.step) return;
    const { number, total, instruction } = event.step;
    if (event.state === "started" || (event.state === "cached" && !this.#knows(event.id))) {
      this.#current ??= event.id;
      if (this.#current !== event.id) this.#waiting.set(event.id, []);
      this.#put(event.id, `Step ${number}/${total} : ${instruction}\n`);
    }
    if (event.state === "cached") this.#put(event.id, " ---> Using cache\n");
    if (event.state === "started") return;
    if (event.result) this.#put(event.id, ` ---> ${event.result}\n`);
    this.#end(event.id);
  }

  #knows(id: string): boolean {
    return this.#current === id || this.#waiting.has(id);
  }

  #put(id: string, text: string): void {
    const waiting = this.#waiting.get(id);
    if (waiting) waiting.push(text);
    else this.write(text);
  }

  readonly #ended = new Set<string>();

  /** The next step in line is shown with all it has said; those that have ended meanwhile are shown whole. */
  #end(id: string): void {
    this.#ended.add(id);
    while (this.#current !== undefined && this.#ended.has(this.#current)) {
      const [next] = this.#waiting;
      this.#current = next?.[0];
      if (!next) return;
      this.#waiting.delete(next[0]);
      for (const text of next[1]) this.write(text);
    }
  }
}
