/** Builds at the same time: what they have in common is done once. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { Cancelled } from "../lib/errors.ts";
import { BuildStepFailed } from "./index.ts";
import { BuildLab, nothingLeft } from "./testing.ts";
import type { BuildRequest } from "./types.ts";

let lab: BuildLab;
beforeAll(async () => {
  lab = await BuildLab.open();
});
afterAll(() => lab[Symbol.asyncDispose]());
// What a cancelled build left to another goes a moment after that one's end.
afterEach(async () => {
  expect(await lab.settled()).toEqual(nothingLeft);
});

/** Each run of the step leaves a file in a cache mount; `next` lists them. */
function counted(id: string, command: string) {
  const mount = `--mount=type=cache,id=${id},target=/runs`;
  return {
    run: `RUN ${mount} mkdir /runs/$(cat /proc/sys/kernel/random/uuid); ${command}`,
    count: async () => {
      const Dockerfile = `FROM busybox\nRUN ${mount} find /runs -mindepth 1 | wc -l`;
      return Number((await lab.build({ Dockerfile }, { noCache: true })).output);
    },
  };
}

const wait = (seconds: number) => `sleep ${seconds}`;

test("a step that several builds want is run once, and each sees its output", async () => {
  const { run, count } = counted("three", `echo begun; ${wait(1)}; echo ended > /out; cat /out`);
  const Dockerfile = `FROM busybox\nCOPY a /a\n${run}\nRUN cat /out`;
  const builds = await Promise.all([0, 1, 2].map(() => lab.build({ Dockerfile, a: "three" })));
  for (const { output, cached } of builds) {
    expect(output).toBe("begun\nended\nended\n");
    expect(cached).toEqual([]);
  }
  expect(await count()).toBe(1);
  expect(new Set(builds.map(({ imageId }) => imageId)).size).toBe(1);
});

test("another Dockerfile with the same step shares it; other limits don't", async () => {
  const { run, count } = counted("limits", wait(1));
  const Dockerfile = `FROM busybox\n${run}`;
  await Promise.all([
    lab.build({ Dockerfile }),
    lab.build({ Dockerfile: `${Dockerfile}\nLABEL more=1` }),
    lab.build({ Dockerfile }, { limits: { memory: 256 * 1024 * 1024 } }),
  ]);
  expect(await count()).toBe(2);
});

test.each(["the one who began it", "one who joined"])(
  "%s may leave: it goes on for the others",
  async (who) => {
    const { run, count } = counted(who.replaceAll(" ", "-"), `cat /c/file; ${wait(1.5)}; echo done`);
    const bind = run.replace("RUN ", "RUN --mount=type=bind,target=/c ");
    const files = { Dockerfile: `FROM busybox\n${bind}`, file: `${who}\n`, ".dockerignore": "ignored" };
    const released: string[] = [];
    const leaver = new AbortController();
    const start = (name: string, signal?: AbortSignal, onLog = () => {}) => {
      const options: Partial<BuildRequest> = {};
      const contextDir = lab.context(files);
      options.contextDir = contextDir;
      options.release = async () => {
        released.push(name);
        rmSync(contextDir, { recursive: true });
      };
      return lab.build(files, options, signal, (event) => event.type === "log" && onLog());
    };
    const began = Promise.withResolvers<void>();
    const first = start("first", who.includes("began") ? leaver.signal : undefined, began.resolve);
    first.catch(() => {});
    await Promise.race([began.promise, first]);
    const joined = Promise.withResolvers<void>();
    const second = start("second", who.includes("began") ? undefined : leaver.signal, joined.resolve);
    second.catch(() => {});
    await Promise.race([joined.promise, second]);
    leaver.abort();
    const [gone, stays] = who.includes("began") ? [first, second] : [second, first];
    await expect(gone).rejects.toThrow(Cancelled);
    // It needs the first one's files still.
    expect(released.includes("first")).toBe(false);
    expect((await stays).output).toBe(`${who}\ndone\n`);
    while (released.length < 2) await Bun.sleep(5);
    expect(released.sort()).toEqual(["first", "second"]);
    expect(await count()).toBe(1);
  },
);

test("when the last one leaves, it ends", async () => {
  const { run } = counted("last", `echo begun; ${wait(100)}`);
  const controllers = [new AbortController(), new AbortController()];
  const Dockerfile = `FROM busybox\n${run}`;
  const builds = controllers.map(({ signal }) => {
    const began = Promise.withResolvers<void>();
    const build = lab.build({ Dockerfile }, {}, signal, (event) => event.type === "log" && began.resolve());
    build.catch(() => {});
    return { build, began: began.promise };
  });
  await Promise.all(builds.map(({ began }) => began));
  for (const controller of controllers) controller.abort();
  for (const { build } of builds) await expect(build).rejects.toThrow(Cancelled);
  expect(await lab.settled()).toEqual(nothingLeft);
});

test("a failure is told to each, with the lines of its own Dockerfile", async () => {
  const { run, count } = counted("fails", `${wait(1)}; exit 7`);
  const builds = [`FROM busybox\n${run}`, `FROM busybox\n\n# Further down.\n${run}`].map((Dockerfile) =>
    lab.build({ Dockerfile }).catch((error) => error),
  );
  const errors = (await Promise.all(builds)) as BuildStepFailed[];
  for (const error of errors) expect(error).toBeInstanceOf(BuildStepFailed);
  expect(errors.map(({ exitCode, line, excerpt }) => [exitCode, line, excerpt?.line])).toEqual([
    [7, 2, 2],
    [7, 4, 4],
  ]);
  expect(await count()).toBe(1);
});

test("a step with a secret is each build's own until one has succeeded", async () => {
  const Dockerfile = `FROM busybox\nRUN --mount=type=secret,id=s ${wait(0.2)}; grep right /run/secrets/s`;
  const secret = (text: string) => ({ secret: async () => Buffer.from(text) });
  const [wrong, right] = await Promise.allSettled([
    lab.build({ Dockerfile }, secret("wrong")),
    lab.build({ Dockerfile }, secret("right")),
  ]);
  expect([wrong.status, right.status]).toEqual(["rejected", "fulfilled"]);
});

test("builds without cache run their own steps", async () => {
  const { run, count } = counted("fresh", wait(0.1));
  const Dockerfile = `FROM busybox\n${run}`;
  await Promise.all([0, 1].map(() => lab.build({ Dockerfile }, { noCache: true })));
  expect(await count()).toBe(2);
});

test("a base image is fetched once for builds that ask for it together", async () => {
  const { backend } = lab;
  const resolve = backend.resolveImage;
  let fetched = 0;
  backend.resolveImage = async (...args) => {
    fetched++;
    await Bun.sleep(50);
    return resolve(...args);
  };
  try {
    await Promise.all([0, 1, 2].map((n) => lab.build({ Dockerfile: `FROM busybox\nLABEL n=${n}` })));
  } finally {
    backend.resolveImage = resolve;
  }
  expect(fetched).toBe(1);
});

test("a thousand stages run a few at a time", async () => {
  const stages = Array.from({ length: 1000 }, (_, n) => `FROM scratch AS s${n}\nCOPY a /${n}`);
  const copies = Array.from({ length: 1000 }, (_, n) => `COPY --from=s${n} / /`);
  const Dockerfile = [...stages, "FROM scratch", ...copies.slice(0, 60)].join("\n");
  const built = await lab.build({ Dockerfile, a: "1" }, { target: "1000" });
  lab.look(built, (root) => {
    expect(readdirSync(root).length).toBe(60);
    expect(existsSync(`${root}/59`)).toBe(true);
  });
});
