import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { GantryError } from "../lib/errors.ts";
import { applyChanges } from "./changes.ts";

describe("applyChanges", () => {
  test.each([
    [["CMD echo hi"], { Cmd: ["/bin/sh", "-c", "echo hi"] }],
    [['CMD ["sh"]'], { Cmd: ["sh"] }],
    [["ENV A=1 B=2", "ENV C=$A"], { Env: ["A=1", "B=2", "C=1"] }],
    [["WORKDIR /a", "WORKDIR b"], { WorkingDir: "/a/b" }],
    [["EXPOSE 80 53/udp"], { ExposedPorts: { "80/tcp": {}, "53/udp": {} } }],
    [["label x=y"], { Labels: { x: "y" } }],
    [["USER 1000:1000"], { User: "1000:1000" }],
    [["VOLUME /data"], { Volumes: { "/data": {} } }],
    [["STOPSIGNAL SIGINT"], { StopSignal: "SIGINT" }],
    [["ONBUILD RUN make"], { OnBuild: ["RUN make"] }],
    [["HEALTHCHECK NONE"], { Healthcheck: { Test: ["NONE"] } }],
  ])("%p", (changes, expected) => {
    expect(applyChanges({}, changes)).toMatchObject(expected);
  });

  test("an entrypoint drops the command that was written for another, unless one comes with it", () => {
    const base = { Cmd: ["old"] };
    expect(applyChanges(base, ['ENTRYPOINT ["run"]']).Cmd).toBeUndefined();
    expect(applyChanges(base, ['CMD ["new"]', 'ENTRYPOINT ["run"]']).Cmd).toEqual(["new"]);
  });

  test.each([
    ["RUN true", "RUN is not a valid change command"],
    ["FROM scratch", "FROM is not a valid change command"],
    ["COPY a b", "COPY is not a valid change command"],
    ["CDM x", "unknown instruction: CDM (did you mean CMD?)"],
    ["EXPOSE web", "invalid containerPort: web"],
  ])("%s is refused", (change, message) => {
    expect(() => applyChanges({}, [change])).toThrow(message);
  });

  test("any text is applied or refused in words", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }),
        fc.constantFrom("", "ENV ", "CMD ", "EXPOSE "),
        (text, head) => {
          try {
            applyChanges({ Env: ["A=1"] }, [head + text]);
          } catch (error) {
            expect(error).toBeInstanceOf(GantryError);
          }
        },
      ),
    );
  });
});
