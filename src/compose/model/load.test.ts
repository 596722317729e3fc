// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the variables are those of Compose files
import { describe, expect, test } from "bun:test";
import { ComposeError } from "./errors.ts";
import { networkHash, serviceHash, volumeHash } from "./hash.ts";
import { loadProject } from "./load.ts";
import { renderProject } from "./render.ts";
import type { Project } from "./types.ts";

interface Given {
  /** Text by absolute path. */
  files: Record<string, string>;
  /** Which of them are given with -f. Default: `/app/compose.yaml`. */
  use?: string[];
  environment?: Record<string, string>;
  profiles?: string[];
  named?: string[];
  projectName?: string;
}

function load({ files, use, environment, profiles, named, projectName }: Given): Project {
  return loadProject({
    files: use ?? ["/app/compose.yaml"],
    workingDir: "/app",
    environment: environment ?? {},
    profiles: profiles ?? [],
    named,
    projectName,
    readFile: (path) => files[path],
  });
}

const one = (text: string, more: Partial<Given> = {}) =>
  load({ files: { "/app/compose.yaml": text }, ...more });

function problemsOf(text: string, more: Partial<Given> = {}): string {
  try {
    one(text, more);
  } catch (error) {
    if (error instanceof ComposeError) return error.message;
    throw error;
  }
  throw new Error("no problem was found");
}

describe("problems have places and ways out", () => {
  const cases: [text: string, message: string][] = [
    [
      "services:\n  web:\n    imag: x\n",
      `/app/compose.yaml:3:5: services.web additional properties 'imag' not allowed (did you mean "image"?)`,
    ],
    [
      "services:\n  web:\n    image: x\n    ports: 80\n",
      "/app/compose.yaml:4:12: services.web.ports must be an array",
    ],
    ["services:\n  web: x\n", "/app/compose.yaml:2:8: services.web must be a mapping"],
    [
      "services:\n  web:\n    image: x\n    depends_on: [wep]\n",
      `/app/compose.yaml:4:18: service "web" depends on undefined service "wep" (did you mean "web"?)`,
    ],
    [
      "services:\n  web:\n    image: x\n    volumes: [data:/x]\n",
      `/app/compose.yaml:4:15: service "web" refers to undefined volume data (declare it at the top level under volumes:)`,
    ],
    [
      "services:\n  web: {image: x, networks: [back]}\nnetworks: {bakc: }\n",
      `/app/compose.yaml:2:30: service "web" refers to undefined network back (declare it at the top level under networks:)`,
    ],
    [
      "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, links: [a]}\n",
      "/app/compose.yaml:2:17: dependency cycle detected: a -> b -> c -> a",
    ],
    [
      "services:\n  web: {}\n",
      `/app/compose.yaml:2:3: service "web" has neither an image nor a build context specified: invalid compose project`,
    ],
    [
      "services:\n  web:\n    image: x\n    mem_limit: lots\n",
      '/app/compose.yaml:4:16: services.web.mem_limit has an invalid size: "lots"; write for example 64m',
    ],
    [
      "services:\n  web:\n    image: x\n    ports: ['99999:80']\n",
      "/app/compose.yaml:4:13: invalid hostPort: 99999",
    ],
    [
      'services:\n  web:\n    image: x\n    command: "a \'b"\n',
      "/app/compose.yaml:4:14: services.web.command can't be split into words: Unterminated single-quoted string",
    ],
    [
      "services:\n  web:\n    image: x\n    image: y\n",
      "/app/compose.yaml:4:5: yaml: Map keys must be unique",
    ],
    [
      "services:\n  web:\n    image: x\n    use_api_socket: true\n",
      "/app/compose.yaml:4:5: services.web.use_api_socket is not supported: mount the engine's socket as a volume",
    ],
    [
      "services:\n  web:\n    image: x\n    network_mode: host\n    networks: [a]\nnetworks: {a: }\n",
      '/app/compose.yaml:4:5: service "web" declares mutually exclusive `network_mode` and `networks`: invalid compose project',
    ],
    [
      "services:\n  web:\n    image: x\n    mem_limit: 5m\n    deploy: {resources: {limits: {memory: 6m}}}\n",
      "/app/compose.yaml:4:5: service \"web\" can't set distinct values on 'mem_limit' and 'deploy.resources.limits.memory': invalid compose project",
    ],
    [
      "services: {web: {image: x, secrets: [s]}}\nsecrets:\n  s: {external: true}\n",
      "/app/compose.yaml:3:3: secrets.s is external, which only Swarm has; give its file, content or environment",
    ],
    [
      "services: {web: {image: x, env_file: no.env}}\n",
      "/app/compose.yaml:1:38: env file /app/no.env not found (set required: false if it may be missing)",
    ],
    [
      "services:\n  web:\n    image: x\n    restart: allways\n",
      '/app/compose.yaml:4:5: service "web" has an unknown restart policy "allways" (did you mean "always"?)',
    ],
    [
      "services: {web: {image: x, healthcheck: {test: [SHELL, x]}}}\n",
      '/app/compose.yaml:1:42: service "web" healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"',
    ],
    [
      "services: {web: {image: x, gpus: [{count: 1, device_ids: [a]}]}}\n",
      '/app/compose.yaml:1:35: service "web" asks for devices by both count and device_ids, which are exclusive',
    ],
    ["- a\n", "/app/compose.yaml:1:1: top-level object must be a mapping"],
    ["a: &a [*a]\n", "/app/compose.yaml:1:8: yaml: anchor 'a' value contains itself"],
  ];
  test.each(cases)("%j", (text, message) => {
    expect(problemsOf(text)).toBe(message);
  });

  test("all problems of a step are told at once", () => {
    expect(problemsOf("services:\n  web:\n    imag: x\n    prts: []\n").split("\n")).toHaveLength(2);
  });

  test("aliases can't blow up", () => {
    const levels = Array.from(
      { length: 12 },
      (_, index) => `x-${index + 1}: &a${index + 1} [${Array(10).fill(`*a${index}`).join(", ")}]`,
    );
    expect(problemsOf(`x-0: &a0 [1]\n${levels.join("\n")}\n`)).toContain("excessive aliasing");
  });

  test("keys without effect are told of with their places", () => {
    const project = one("version: '3'\nservices:\n  web:\n    image: busybox:$TAG\n    isolation: x\n");
    expect(project.warnings).toEqual([
      "/app/compose.yaml: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion",
      'The "TAG" variable is not set. Defaulting to a blank string.',
      "/app/compose.yaml:5:5: services.web.isolation is ignored: it is for Windows only",
    ]);
  });
});

describe("several files", () => {
  test("later files override, paths count from the first one's directory", () => {
    const project = load({
      files: {
        "/app/compose.yaml": "services: {web: {image: a, volumes: ['./x:/x']}}",
        "/app/more/override.yaml": "services: {web: {image: b, env_file: ./e, volumes: ['./y:/y']}}",
        "/app/e": "A=1",
      },
      use: ["/app/compose.yaml", "/app/more/override.yaml"],
    });
    expect(project.services.web?.image).toBe("b");
    expect(project.services.web?.environment).toEqual({ A: "1" });
    expect(project.services.web?.volumes?.map(({ source }) => source)).toEqual(["/app/x", "/app/y"]);
  });

  test("extends takes over from another file, whose paths count from its own directory", () => {
    const project = load({
      files: {
        "/app/compose.yaml":
          "services: {web: {extends: {file: base/common.yaml, service: app}, environment: {B: '2'}}}",
        "/app/base/common.yaml":
          "services:\n  app: {extends: root, volumes: ['./d:/d'], environment: [A=1]}\n  root: {image: img, user: u}\n",
      },
    });
    expect(project.services.web).toMatchObject({
      image: "img",
      user: "u",
      environment: { A: "1", B: "2" },
      volumes: [{ source: "/app/base/d", target: "/d" }],
    });
  });

  test("extends in circles or of nothing fails with its place", () => {
    expect(problemsOf("services:\n  a: {extends: b}\n  b: {extends: a}\n")).toContain("Circular reference");
    expect(problemsOf("services:\n  web: {extends: wev}\n")).toBe(
      '/app/compose.yaml:2:18: cannot extend service "web" in /app/compose.yaml: service "wev" not found (did you mean "web"?)',
    );
    expect(problemsOf("services:\n  web: {extends: {file: no.yaml, service: x}}\n")).toBe(
      "/app/compose.yaml:2:25: open /app/no.yaml: no such file or directory",
    );
  });

  test("include brings a project in with its own directory and .env", () => {
    const files = {
      "/app/compose.yaml": "include: [sub/compose.yaml]\nservices: {web: {image: a, depends_on: [db]}}",
      "/app/sub/compose.yaml": "services: {db: {image: 'db:${TAG}', volumes: ['./d:/d']}}",
      "/app/sub/.env": "TAG=7",
    };
    const project = load({ files });
    expect(project.services.db).toMatchObject({ image: "db:7", volumes: [{ source: "/app/sub/d" }] });
    expect(load({ files, environment: { TAG: "8" } }).services.db?.image).toBe("db:8");
  });

  test("an include that defines a name again, or itself, fails", () => {
    expect(() =>
      load({
        files: {
          "/app/compose.yaml": "include: [sub.yaml]\nservices: {db: {image: a}}",
          "/app/sub.yaml": "services: {db: {image: b}}",
        },
      }),
    ).toThrow(/services\.db conflicts with imported resource/);
    expect(() => one("include: [compose.yaml]\n")).toThrow(/include cycle detected/);
  });
});

describe("names and profiles", () => {
  test.each([
    [{}, "app"],
    [{ environment: { COMPOSE_PROJECT_NAME: "env" } }, "env"],
    [{ environment: { COMPOSE_PROJECT_NAME: "env" }, projectName: "flag" }, "flag"],
  ])("%j", (more, name) => {
    expect(one("services: {web: {image: a}}", more).name).toBe(name);
  });
  test("name: comes before the directory and may use variables", () => {
    expect(one("name: p-${X:-y}\nservices: {web: {image: '${COMPOSE_PROJECT_NAME}'}}")).toMatchObject({
      name: "p-y",
      services: { web: { image: "p-y" } },
    });
  });
  test("a bad name is refused with a better one", () => {
    expect(problemsOf("services: {web: {image: a}}", { projectName: "My App" })).toContain('(try "myapp")');
  });

  const text = "services: {web: {image: a}, dbg: {image: b, profiles: [debug]}}";
  test("services of profiles are out unless active or named", () => {
    expect(Object.keys(one(text).services)).toEqual(["web"]);
    expect(Object.keys(one(text).disabledServices)).toEqual(["dbg"]);
    expect(Object.keys(one(text, { profiles: ["debug"] }).services).sort()).toEqual(["dbg", "web"]);
    expect(Object.keys(one(text, { profiles: ["*"] }).services).sort()).toEqual(["dbg", "web"]);
    expect(Object.keys(one(text, { named: ["dbg"] }).services).sort()).toEqual(["dbg", "web"]);
  });
  test("needing a service of an inactive profile fails, unless it is optional", () => {
    const needs = (rest: string) =>
      `services: {web: {image: a, depends_on: {dbg: {condition: service_started${rest}}}}, dbg: {image: b, profiles: [debug]}}`;
    expect(problemsOf(needs(""))).toContain("activate one with --profile");
    expect(one(needs(", required: false")).services.web?.depends_on).toBeUndefined();
  });
});

const rich = `
x-common: &common {restart: always}
services:
  web:
    <<: *common
    build: .
    ports: ["5000:5000", "127.0.0.1:8000-8001:80-81/udp", 9090]
    environment: [A=1, HOME, UNSET, B=a$$b]
    depends_on: [db]
    volumes:
      - ./src:/src:ro
      - data:/data
      - /anon
      - {type: tmpfs, target: /t, tmpfs: {size: 64m}}
    healthcheck: {test: curl -f http://localhost, interval: 1m30s, timeout: 1.5s, retries: 3}
    mem_limit: 512m
    cpus: "0.5"
    stop_grace_period: 90s
    command: echo "hello world" $$HOME
    entrypoint: ""
    secrets: [tok]
    configs: [{source: cfg, target: /etc/cfg, mode: 0440}]
    ulimits: {nofile: 1024, nproc: {soft: 5, hard: 10}}
    extra_hosts: ["a:1.2.3.4", "b=::1"]
    tmpfs: /run
    deploy: {replicas: 2, resources: {limits: {cpus: "0.5", memory: 512M}}}
    labels: [x=y, z]
    devices: ["/dev/null:/dev/n2"]
  db:
    image: postgres
    command: []
    networks:
      back: {aliases: [database], priority: 10}
      default:
networks: {back: , unused: }
volumes: {data: }
secrets: {tok: {file: ./tok.txt}}
configs: {cfg: {content: "hello \${HOME}"}}
`;

test("config's data is what Docker Compose prints", () => {
  const project = one(rich, { environment: { HOME: "/root" } });
  expect(renderProject(project, true)).toEqual({
    name: "app",
    services: {
      db: {
        command: [],
        image: "postgres",
        networks: { back: { aliases: ["database"], priority: 10 }, default: null },
      },
      web: {
        build: { context: "/app", dockerfile: "Dockerfile" },
        cpus: 0.5,
        command: ["echo", "hello world", "$$HOME"],
        configs: [{ source: "cfg", target: "/etc/cfg", mode: "0440" }],
        depends_on: { db: { condition: "service_started", required: true } },
        deploy: { replicas: 2, resources: { limits: { cpus: 0.5, memory: "536870912" } } },
        devices: [{ source: "/dev/null", target: "/dev/n2", permissions: "rwm" }],
        entrypoint: [],
        environment: { A: "1", B: "a$$b", HOME: "/root", UNSET: null },
        extra_hosts: ["a=1.2.3.4", "b=::1"],
        healthcheck: {
          test: ["CMD-SHELL", "curl -f http://localhost"],
          timeout: "1.5s",
          interval: "1m30s",
          retries: 3,
        },
        labels: { x: "y", z: "" },
        mem_limit: "536870912",
        networks: { default: null },
        ports: [
          { mode: "ingress", target: 5000, published: "5000", protocol: "tcp" },
          { mode: "ingress", host_ip: "127.0.0.1", target: 80, published: "8000", protocol: "udp" },
          { mode: "ingress", host_ip: "127.0.0.1", target: 81, published: "8001", protocol: "udp" },
          { mode: "ingress", target: 9090, protocol: "tcp" },
        ],
        restart: "always",
        secrets: [{ source: "tok", target: "/run/secrets/tok" }],
        stop_grace_period: "1m30s",
        tmpfs: ["/run"],
        ulimits: { nofile: 1024, nproc: { soft: 5, hard: 10 } },
        volumes: [
          {
            type: "bind",
            source: "/app/src",
            target: "/src",
            read_only: true,
            bind: { create_host_path: true },
          },
          { type: "volume", source: "data", target: "/data", volume: {} },
          { type: "volume", target: "/anon", volume: {} },
          { type: "tmpfs", target: "/t", tmpfs: { size: "67108864" } },
        ],
      },
    },
    networks: { back: { name: "app_back" }, default: { name: "app_default" } },
    volumes: { data: { name: "app_data" } },
    secrets: { tok: { name: "app_tok", file: "/app/tok.txt" } },
    configs: { cfg: { name: "app_cfg", content: "hello /root" } },
    "x-common": { restart: "always" },
  });
});

test("what config prints loads as the same project", () => {
  const first = one(rich, { environment: { HOME: "/root" } });
  const printed = renderProject(first, true);
  const second = one(JSON.stringify(printed));
  expect(renderProject(second, true)).toEqual(printed);
  expect(serviceHash(second.services.web!)).toBe(serviceHash(first.services.web!));
});

/** Computed by docker compose 2.40.3 over the same file. */
test("hashes are Docker Compose's own", () => {
  const project = one(
    `
name: t2
services:
  web:
    image: busybox
    command: sh -c "echo hi; sleep 1; echo there; exec sleep 1000"
    depends_on: {db: {condition: service_healthy}}
    volumes: [data:/data, /anon]
    scale: 2
    init: true
    stop_grace_period: 1s
    environment: {ONE: 1}
  db:
    image: busybox
    command: sleep 1000
    stop_grace_period: 1s
    healthcheck: {test: "true", interval: 1s}
  once:
    image: busybox
    command: sh -c "echo once; exit 3"
volumes: {data: {}}
`,
  );
  expect(serviceHash(project.services.web!)).toBe(
    "bd73042ca49429bb2dbfaa1c8ff6afed67aaa758884aa8dad8e1a4584651f47e",
  );
  expect(serviceHash(project.services.db!)).toBe(
    "2de2f74eeb3bd495daa36a5239834cea539b9d047bd7f7164636300e92007424",
  );
  expect(serviceHash(project.services.once!)).toBe(
    "9207cb97daa73b5db632b4c02d21d305224ed96613505203410b11fe69d2a6de",
  );
  expect(networkHash(project.networks.default!)).toBe(
    "bd427df97164dbfda7c071b12d71e2d73a8876f1f384f9ff162da2631f945bff",
  );
  expect(volumeHash(project.volumes.data!)).toBe(
    "99bc1d49200a5dee34e1cfbf882b3a7e158f7329614b6cfb65c1b762355771b0",
  );
});
