import { execForm, type Folder, type Kind, type Plan, readJson, texts, versionIn } from "../project.ts";
import { serveFiles } from "./static.ts";

/** How a package manager is told apart, and what it is called with. */
interface Manager {
  name: string;
  lock: string;
  install: string;
  prune: string;
  run: string;
  cache: string;
  setup?: string;
}

const managers: Manager[] = [
  {
    name: "pnpm",
    lock: "pnpm-lock.yaml",
    install: "pnpm install --frozen-lockfile",
    prune: "pnpm prune --prod",
    run: "pnpm run",
    cache: "/root/.local/share/pnpm/store",
    setup: "corepack enable",
  },
  {
    name: "yarn",
    lock: "yarn.lock",
    install: "yarn install --frozen-lockfile",
    prune: "yarn install --frozen-lockfile --production --ignore-scripts --prefer-offline",
    run: "yarn run",
    cache: "/usr/local/share/.cache/yarn",
    setup: "corepack enable",
  },
  {
    name: "npm",
    lock: "package-lock.json",
    install: "npm ci",
    prune: "npm prune --omit=dev",
    run: "npm run",
    cache: "/root/.npm",
  },
];
const withoutLock: Manager = { ...managers[2]!, lock: "package.json", install: "npm install" };

/** Builders of pages that end as files, and where they put them. */
const pageBuilders: Record<string, string> = {
  vite: "dist",
  "react-scripts": "build",
  "@angular/cli": "dist",
  "@vue/cli-service": "dist",
  "@11ty/eleventy": "_site",
  astro: "dist",
};

export const node: Kind = {
  name: "node",
  plan(folder, { port = 3000 }) {
    const manifest = readJson(folder, "package.json");
    if (!manifest) return undefined;
    const scripts = texts(manifest.scripts);
    const packages = { ...texts(manifest.devDependencies), ...texts(manifest.dependencies) };
    const manager = managers.find(({ lock }) => folder.has(lock)) ?? withoutLock;
    const version = versionIn(folder.read(".nvmrc"), 1) ?? versionIn(texts(manifest.engines).node, 1) ?? "22";
    const because = [
      "package.json: a Node project",
      manager === withoutLock ? "no lock file: npm install" : `${manager.lock}: ${manager.name}`,
    ];
    const common = { kind: "node", ignore: ["node_modules", "npm-debug.log*", ".next", "coverage"] };
    const build = stage(folder, manager, version, scripts.build !== undefined);

    const builder = Object.keys(pageBuilders).find((name) => name in packages);
    if (builder && scripts.build && !scripts.start) {
      because.push(`${builder} without a start script: its files are served by nginx`);
      const served = serveFiles(
        `COPY --from=build /app/${pageBuilders[builder]} /usr/share/nginx/html`,
        8080,
      );
      return { ...common, because, dockerfile: `${build}\n${served}`, port: 8080 } satisfies Plan;
    }
    const command = startCommand(folder, manifest, scripts);
    because.push(`starts with: ${command.join(" ")}`);
    const dockerfile = `${build}RUN ${manager.prune}

FROM node:${version}-alpine
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build --chown=node:node /app ./
USER node
EXPOSE ${port}
CMD ${execForm(command)}
`;
    return { ...common, because, dockerfile, port, environment: { PORT: String(port) } };
  },
};

function stage(folder: Folder, manager: Manager, version: string, builds: boolean): string {
  const files = ["package.json", manager.lock, ".npmrc", ".yarnrc.yml", "pnpm-workspace.yaml"].filter(
    (name) => folder.has(name),
  );
  return `# syntax=docker/dockerfile:1
FROM node:${version}-alpine AS build
WORKDIR /app
${manager.setup ? `RUN ${manager.setup}\n` : ""}# The lock file first: dependencies are installed again only when it changes.
COPY ${[...new Set(files)].join(" ")} ./
RUN --mount=type=cache,target=${manager.cache} ${manager.install}
COPY . .
${builds ? `RUN ${manager.run} build\n` : ""}`;
}

/** `node FILE` where that is what the start script says, so that signals reach the program. */
function startCommand(
  folder: Folder,
  manifest: Record<string, unknown>,
  scripts: Record<string, string>,
): string[] {
  const start = scripts.start?.trim();
  if (start && /^node(\s+[\w./=@-]+)+$/.test(start)) return start.split(/\s+/);
  if (start) return ["npm", "start"];
  const main = typeof manifest.main === "string" ? manifest.main : undefined;
  const file = [main, "server.js", "index.js", "app.js", "src/index.js"].find(
    (name) => name !== undefined && folder.has(name),
  );
  return ["node", file ?? main ?? "index.js"];
}
