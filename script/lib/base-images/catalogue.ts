/** Which images there are and what they are made of. */
import type { ImageRunConfig } from "../../../src/lib/oci.ts";

/** How a layer comes about: by a program that fills a directory, or by a script inside another layer's root. */
export interface LayerRecipe {
  name: "busybox" | "hello-world" | "debian" | "python" | "redis" | "nginx";
  /** The root that the script runs in. */
  inside?: "debian";
}

export const layers: LayerRecipe[] = [
  { name: "busybox" },
  { name: "hello-world" },
  { name: "debian" },
  { name: "python", inside: "debian" },
  { name: "redis", inside: "debian" },
  { name: "nginx", inside: "debian" },
];

export interface ImageRecipe {
  repository: string;
  tags: string[];
  /** Bottom first. */
  layers: LayerRecipe["name"][];
  /** What it really is, for the label. */
  contents: string;
  config: ImageRunConfig;
}

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const debian = "Debian 12 (bookworm)";

export const images: ImageRecipe[] = [
  {
    repository: "library/busybox",
    tags: ["latest", "stable", "1.35", "1.36"],
    layers: ["busybox"],
    contents: "Debian's busybox-static",
    config: { Env: [path], Cmd: ["sh"] },
  },
  {
    repository: "library/alpine",
    tags: ["latest", "3", "3.18", "3.19", "3.20"],
    layers: ["busybox"],
    contents: "Debian's busybox-static, without apk",
    config: { Env: [path], Cmd: ["/bin/sh"] },
  },
  {
    repository: "library/hello-world",
    tags: ["latest"],
    layers: ["busybox", "hello-world"],
    contents: "Debian's busybox-static and a script",
    config: { Env: [path], Cmd: ["/hello"] },
  },
  {
    repository: "library/debian",
    tags: ["latest", "bookworm", "bookworm-slim", "12", "stable", "stable-slim"],
    layers: ["debian"],
    contents: debian,
    config: { Env: [path], Cmd: ["bash"] },
  },
  {
    repository: "library/ubuntu",
    tags: ["latest", "20.04", "22.04", "24.04"],
    layers: ["debian"],
    contents: debian,
    config: { Env: [path], Cmd: ["/bin/bash"] },
  },
  {
    repository: "library/python",
    tags: ["latest", "slim", "alpine", "3", "3-slim", "3-alpine", "3.11", "3.11-slim", "3.11-alpine"],
    layers: ["debian", "python"],
    contents: `${debian} with its python3, flask and redis modules, without pip`,
    config: { Env: [path, "LANG=C.UTF-8"], Cmd: ["python3"] },
  },
  {
    repository: "library/redis",
    tags: ["latest", "alpine", "7", "7-alpine"],
    layers: ["debian", "redis"],
    contents: `${debian} with its redis-server`,
    config: {
      Env: [path],
      Entrypoint: ["docker-entrypoint.sh"],
      Cmd: ["redis-server"],
      ExposedPorts: { "6379/tcp": {} },
      Volumes: { "/data": {} },
      WorkingDir: "/data",
    },
  },
  {
    repository: "library/nginx",
    tags: ["latest", "alpine", "stable", "stable-alpine", "1.27-alpine"],
    layers: ["debian", "nginx"],
    contents: `${debian} with its nginx-light`,
    config: {
      Env: [path],
      Cmd: ["nginx", "-g", "daemon off;"],
      ExposedPorts: { "80/tcp": {} },
      StopSignal: "SIGQUIT",
    },
  },
];
