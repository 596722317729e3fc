/** Input that is too much, or leads out: it ends, and is told. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DockerfileError } from "./index.ts";
import { BuildLab, nothingLeft } from "./testing.ts";

let lab: BuildLab;
beforeAll(async () => {
  lab = await BuildLab.open();
});
afterAll(() => lab[Symbol.asyncDispose]());
afterEach(async () => expect(await lab.settled()).toEqual(nothingLeft));

test("a Dockerfile of a megabyte", async () => {
  const comment = `# ${"x".repeat(78)}\n`.repeat(12_500);
  const labels = Array.from({ length: 500 }, (_, n) => `LABEL l${n}=${n}`).join("\n");
  const built = await lab.build({ Dockerfile: `FROM scratch\n${comment}${labels}` });
  expect(Object.keys(lab.run(built).Labels!).length).toBe(500);
});

test("a line of a megabyte", async () => {
  const value = "v".repeat(2 ** 20);
  expect(lab.run(await lab.build({ Dockerfile: `FROM scratch\nENV A=${value}` })).Env).toContain(
    `A=${value}`,
  );
});

test("a heredoc of five megabytes", async () => {
  const text = `${"line of text\n".repeat(400_000)}`;
  const built = await lab.build({ Dockerfile: `FROM scratch\nCOPY <<EOF /big\n${text}EOF\n` });
  lab.look(built, (root) => expect(readFileSync(join(root, "big"), "utf8") === text).toBe(true));
  const run = lab.build({ Dockerfile: `FROM busybox\nRUN <<EOF\n${text}EOF\n` });
  await expect(run).rejects.toThrow();
});

test("triggers that set triggers go no deeper than the file says", async () => {
  const nested = await lab.build({ Dockerfile: "FROM busybox\nONBUILD ONBUILD RUN true" }).catch((e) => e);
  expect(nested).toBeInstanceOf(DockerfileError);
  // A base of itself: each build adds one.
  for (let n = 0; n < 3; n++)
    await lab.build({ Dockerfile: "FROM busybox\nONBUILD RUN echo again" }, { tags: ["loop:latest"] });
  const child = await lab.build({ Dockerfile: "FROM loop:latest" });
  expect(child.output).toBe("again\n");
});

test("variables that double one another are held back", async () => {
  const doubling = Array.from({ length: 40 }, (_, n) => `ENV A${n + 1}=$A${n}$A${n}`).join("\n");
  const error = await lab
    .build({ Dockerfile: `FROM scratch\nENV A0=xxxxxxxxxx\n${doubling}` })
    .catch((e) => e);
  expect(error).toBeInstanceOf(DockerfileError);
  expect(error.message).toContain("too long");
  const args = doubling.replaceAll("ENV", "ARG");
  const global = await lab.build({ Dockerfile: `ARG A0=xxxxxxxxxx\n${args}\nFROM scratch` }).catch((e) => e);
  expect(global).toBeInstanceOf(DockerfileError);
});
