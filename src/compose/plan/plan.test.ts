import { describe, expect, test } from "bun:test";
import { networkHash, serviceHash } from "../model/hash.ts";
import { loadProject } from "../model/load.ts";
import type { Project } from "../model/types.ts";
import { label, type Observed, type ObservedContainer } from "./observed.ts";
import { planUp, type UpOptions } from "./plan.ts";

const text = `
name: demo
services:
  web: {image: w, depends_on: [db], volumes: [data:/d]}
  db: {image: d}
volumes: {data: }
`;

function load(source = text): Project {
  return loadProject({
    files: ["/app/compose.yaml"],
    workingDir: "/app",
    environment: {},
    profiles: [],
    readFile: (path) => (path === "/app/compose.yaml" ? source : undefined),
  });
}

const options: UpOptions = {
  services: [],
  recreate: "diverged",
  recreateDependencies: "diverged",
  noDeps: false,
  scale: {},
  removeOrphans: false,
  imageIds: { web: "sha256:w", db: "sha256:d" },
};

function container(
  project: Project,
  service: string,
  number = 1,
  labels: Record<string, string> = {},
): ObservedContainer {
  return {
    id: `${service}${number}`,
    name: `demo-${service}-${number}`,
    service,
    number,
    oneOff: false,
    state: "running",
    labels: {
      [label.configHash]: project.services[service] ? serviceHash(project.services[service]) : "",
      [label.image]: `sha256:${service[0]}`,
      ...labels,
    },
    networkIds: ["net"],
    volumes: service === "web" ? ["demo_data"] : [],
    created: number,
  };
}

function everything(project: Project): Observed {
  return {
    containers: [container(project, "web"), container(project, "db")],
    networks: {
      demo_default: {
        id: "net",
        name: "demo_default",
        labels: { [label.project]: "demo", [label.configHash]: networkHash(project.networks.default!) },
      },
    },
    volumes: { demo_data: { name: "demo_data", labels: { [label.project]: "demo" } } },
  };
}

const nothing: Observed = { containers: [], networks: {}, volumes: {} };

/** `db: keep 1; web: recreate 1 (image changed)` */
function summary(project: Project, observed: Observed, change: Partial<UpOptions> = {}): string {
  const plan = planUp(project, observed, { ...options, ...change });
  return plan.services
    .map(({ service, actions }) => {
      const words = actions.map((action) =>
        action.kind === "keep" || action.kind === "remove"
          ? `${action.kind} ${action.container.number}`
          : `${action.kind} ${action.number}${action.kind === "recreate" ? ` (${action.reason})` : ""}`,
      );
      return `${service}: ${words.join(", ")}`;
    })
    .join("; ");
}

describe("planUp", () => {
  test("all is made when nothing exists, dependencies first", () => {
    const project = load();
    const plan = planUp(project, nothing, options);
    expect(plan.networks).toEqual([{ kind: "create", key: "default", name: "demo_default", users: [] }]);
    expect(plan.volumes).toEqual(["data"]);
    expect(plan.services).toEqual([
      { service: "db", after: [], actions: [{ kind: "create", number: 1, name: "demo-db-1" }] },
      { service: "web", after: ["db"], actions: [{ kind: "create", number: 1, name: "demo-web-1" }] },
    ]);
  });

  test("nothing is done when nothing changed", () => {
    const project = load();
    const plan = planUp(project, everything(project), options);
    expect(plan).toMatchObject({ networks: [], volumes: [], orphans: [], warnings: [] });
    expect(summary(project, everything(project))).toBe("db: keep 1; web: keep 1");
  });

  const cases: [
    what: string,
    change: (observed: Observed) => void,
    options: Partial<UpOptions>,
    result: string,
  ][] = [
    [
      "a new image",
      () => {},
      { imageIds: { web: "sha256:new", db: "sha256:d" } },
      "db: keep 1; web: recreate 1 (image changed)",
    ],
    [
      "another configuration",
      ({ containers }) => {
        containers[1]!.labels[label.configHash] = "old";
      },
      {},
      "db: recreate 1 (configuration changed); web: keep 1",
    ],
    [
      "another configuration with --no-recreate",
      ({ containers }) => {
        containers[1]!.labels[label.configHash] = "old";
      },
      { recreate: "never" },
      "db: keep 1; web: keep 1",
    ],
    [
      "--force-recreate",
      () => {},
      { recreate: "force" },
      "db: recreate 1 (asked for); web: recreate 1 (asked for)",
    ],
    [
      "--force-recreate web",
      () => {},
      { recreate: "force", services: ["web"] },
      "db: keep 1; web: recreate 1 (asked for)",
    ],
    ["--no-deps web", () => {}, { services: ["web"], noDeps: true }, "web: keep 1"],
    ["scale up", () => {}, { scale: { web: 3 } }, "db: keep 1; web: keep 1, create 2, create 3"],
    ["scale to none", () => {}, { scale: { web: 0 } }, "db: keep 1; web: remove 1"],
    [
      "a lost network attachment",
      ({ containers }) => {
        containers[0]!.networkIds = [];
      },
      {},
      "db: keep 1; web: recreate 1 (not attached to network default)",
    ],
    [
      "another volume",
      ({ containers }) => {
        containers[0]!.volumes = [];
      },
      {},
      "db: keep 1; web: recreate 1 (volume data changed)",
    ],
    [
      "a network of another configuration",
      ({ networks }) => {
        networks.demo_default!.labels[label.configHash] = "old";
      },
      {},
      "db: recreate 1 (network default changed); web: recreate 1 (network default changed)",
    ],
  ];
  test.each(cases)("%s", (_what, change, more, result) => {
    const project = load();
    const observed = everything(project);
    change(observed);
    expect(summary(project, observed, more)).toBe(result);
  });

  test("scaling down removes what would be made anew first, then the highest numbers; gaps are filled", () => {
    const project = load();
    const observed = everything(project);
    observed.containers.push(
      container(project, "web", 2, { [label.configHash]: "old" }),
      container(project, "web", 4),
    );
    expect(summary(project, observed, { scale: { web: 2 } })).toBe(
      "db: keep 1; web: keep 1, keep 4, remove 2",
    );
    expect(summary(project, observed, { scale: { web: 4 } })).toBe(
      "db: keep 1; web: keep 1, keep 4, recreate 2 (configuration changed), create 3",
    );
  });

  test("orphans are told of, and removed when asked", () => {
    const project = load();
    const observed = everything(project);
    observed.containers.push(container(project, "gone"), { ...container(project, "task"), oneOff: true });
    expect(planUp(project, observed, options).warnings[0]).toContain(
      "Found orphan containers ([demo-gone-1])",
    );
    const plan = planUp(project, observed, { ...options, removeOrphans: true });
    expect(plan.orphans.map(({ name }) => name)).toEqual(["demo-gone-1"]);
    expect(plan.warnings).toEqual([]);
  });

  test("who shares a container's network is made anew with it", () => {
    const project = load(
      "name: demo\nservices:\n  a: {image: x}\n  b: {image: x, network_mode: 'service:a'}\n",
    );
    const observed: Observed = {
      ...nothing,
      containers: [container(project, "a", 1, { [label.configHash]: "old" })],
    };
    expect(summary(project, observed)).toBe("a: recreate 1 (configuration changed); b: create 1");
    const shared = { ...project.services.b!, network_mode: "container:a1" };
    const b = container(project, "b", 1, { [label.configHash]: serviceHash(shared) });
    const same: Observed = { ...nothing, containers: [{ ...container(project, "a"), networkIds: [] }, b] };
    expect(summary(project, same, { noDeps: true, services: ["b"] })).toBe("b: keep 1");
  });

  test("external resources have to be there, and others' are not taken", () => {
    const external = load(
      "name: demo\nservices: {a: {image: x, networks: [n]}}\nnetworks: {n: {external: true, name: shared}}",
    );
    expect(() => planUp(external, nothing, options)).toThrow(
      /network shared declared as external, but could not be found/,
    );
    const project = load();
    const observed = everything(project);
    observed.networks.demo_default!.labels = {};
    expect(() => planUp(project, observed, options)).toThrow(/was found but has incorrect label/);
  });

  test("unknown services and names that can't be scaled are refused", () => {
    expect(() => planUp(load(), nothing, { ...options, services: ["wep"] })).toThrow("no such service: wep");
    const project = load("name: demo\nservices: {a: {image: x, container_name: fixed}}");
    expect(() => planUp(project, nothing, { ...options, scale: { a: 2 } })).toThrow(
      /custom container name "fixed"/,
    );
  });
});
