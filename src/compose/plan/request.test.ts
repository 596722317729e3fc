import { expect, test } from "bun:test";
import { loadProject } from "../model/load.ts";
import { label } from "./observed.ts";
import { containerRequest } from "./request.ts";

function request(service: string, rest = "", inheritedVolumes: Record<string, string> = {}) {
  const project = loadProject({
    files: ["/app/compose.yaml"],
    workingDir: "/app",
    environment: { SECRET: "hidden" },
    profiles: [],
    readFile: () => `name: demo\nservices:\n  web: {image: w, ${service}}\n  db: {image: d}\n${rest}`,
  });
  return containerRequest(project, "web", project.services.web!, {
    number: 1,
    containerName: "demo-web-1",
    image: "w",
    imageId: "sha256:1",
    useAliases: true,
    containerOf: (name) => `id-of-${name}`,
    inheritedVolumes,
  });
}

test("labels and names are Docker Compose's", () => {
  const { body } = request("depends_on: {db: {condition: service_healthy, restart: true}}");
  expect(body.Labels).toMatchObject({
    [label.project]: "demo",
    [label.service]: "web",
    [label.number]: "1",
    [label.oneoff]: "False",
    [label.image]: "sha256:1",
    [label.workingDir]: "/app",
    [label.configFiles]: "/app/compose.yaml",
    [label.dependsOn]: "db:service_healthy:true",
  });
  expect(body.HostConfig.NetworkMode).toBe("demo_default");
  expect(body.NetworkingConfig.EndpointsConfig.demo_default?.Aliases).toEqual(["demo-web-1", "web"]);
});

test("the network of the highest priority comes first, the others are connected later", () => {
  const { body, laterNetworks } = request(
    "networks: {a: , b: {priority: 5, aliases: [bee], ipv4_address: 10.0.0.9}, c: }",
    "networks: {a: , b: , c: }",
  );
  expect(Object.keys(body.NetworkingConfig.EndpointsConfig)).toEqual(["demo_b"]);
  expect(body.NetworkingConfig.EndpointsConfig.demo_b).toMatchObject({
    Aliases: ["demo-web-1", "web", "bee"],
    IPAMConfig: { IPv4Address: "10.0.0.9" },
  });
  expect(laterNetworks.map(({ name }) => name)).toEqual(["demo_a", "demo_c"]);
});

test("limits, ports, restart and health", () => {
  const { body } = request(
    "mem_limit: 64m, cpus: 1.5, pids_limit: 10, ports: ['127.0.0.1:8080:80', '53/udp'], expose: ['90-91'], restart: 'on-failure:3', stop_grace_period: 1500ms, healthcheck: {test: ok, interval: 2s, disable: false}, ulimits: {nofile: 5, core: {soft: 1, hard: 2}}",
  );
  expect(body.HostConfig).toMatchObject({
    Memory: 64 * 1024 ** 2,
    NanoCpus: 1.5e9,
    PidsLimit: 10,
    PortBindings: {
      "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "8080" }],
      "53/udp": [{ HostIp: "", HostPort: "" }],
    },
    RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 },
    Ulimits: [
      { Name: "core", Soft: 1, Hard: 2 },
      { Name: "nofile", Soft: 5, Hard: 5 },
    ],
  });
  expect(Object.keys(body.ExposedPorts).sort()).toEqual(["53/udp", "80/tcp", "90/tcp", "91/tcp"]);
  expect(body.StopTimeout).toBe(2);
  expect(body.Healthcheck).toMatchObject({ Test: ["CMD-SHELL", "ok"], Interval: 2e9 });
});

test("deploy's limits and restart policy count too", () => {
  const { body } = request(
    "deploy: {resources: {limits: {memory: 1g, cpus: '0.25', pids: 7}, reservations: {memory: 512m}}, restart_policy: {condition: on-failure, max_attempts: 2}}",
  );
  expect(body.HostConfig).toMatchObject({
    Memory: 1024 ** 3,
    MemoryReservation: 512 * 1024 ** 2,
    NanoCpus: 250_000_000,
    PidsLimit: 7,
    RestartPolicy: { Name: "on-failure", MaximumRetryCount: 2 },
  });
});

test("mounts: paths of the host, named and anonymous volumes, images, and those of the container before", () => {
  const { body } = request(
    "volumes: ['./src:/src:ro', 'data:/data', /anon, {type: bind, source: /x, target: /y, bind: {create_host_path: false}}, {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}}, {type: image, source: tools, target: /i, image: {subpath: bin}}]",
    "volumes: {data: }",
    { "/anon": "a".repeat(64), "/from-image": "b".repeat(64) },
  );
  expect(body.HostConfig.Binds).toEqual(["/app/src:/src:ro", "demo_data:/data:rw"]);
  expect(body.HostConfig.Mounts).toMatchObject([
    { Type: "volume", Source: "a".repeat(64), Target: "/anon" },
    { Type: "bind", Source: "/x", Target: "/y" },
    { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 1024 ** 2, Mode: 0o700 } },
    { Type: "image", Source: "tools", Target: "/i", ImageOptions: { Subpath: "bin" } },
    { Type: "volume", Source: "b".repeat(64), Target: "/from-image" },
  ]);
});

test("secrets: files are mounted read-only, values appear nowhere in the request", () => {
  const { body } = request("secrets: [f, e]", "secrets: {f: {file: ./s.txt}, e: {environment: SECRET}}");
  expect(body.HostConfig.Mounts).toEqual([
    { Type: "bind", Source: "/app/s.txt", Target: "/run/secrets/f", ReadOnly: true },
  ]);
  expect(JSON.stringify(body)).not.toContain("hidden");
});

test("namespaces of other services become their containers'", () => {
  const { body, laterNetworks } = request(
    "network_mode: 'service:db', pid: 'service:db', volumes_from: ['db:ro']",
  );
  expect(body.HostConfig).toMatchObject({
    NetworkMode: "container:id-of-db",
    PidMode: "container:id-of-db",
    VolumesFrom: ["id-of-db:ro"],
  });
  expect(body.NetworkingConfig.EndpointsConfig).toEqual({});
  expect(laterNetworks).toEqual([]);
});
