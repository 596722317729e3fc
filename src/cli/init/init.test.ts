import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { parseDockerfile } from "../../build/dockerfile/parse.ts";
import { lintText } from "../../build/practices/testing.ts";
import { main } from "../index.ts";
import { projectName } from "./files.ts";

const root = mkdtempSync(join(tmpdir(), "gantry-init-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
function project(files: Record<string, string>): string {
  const directory = join(root, `Project ${count++}`);
  mkdirSync(directory);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  }
  return directory;
}

const at = (directory: string, name: string) => readFileSync(join(directory, name), "utf8");
const json = JSON.stringify;

/** A project of each sort, and what its Dockerfile must say. */
const cases: [string, Record<string, string>, string[]][] = [
  [
    "node with a lock file and a build",
    {
      "package.json": json({ engines: { node: ">=20" }, scripts: { build: "tsc", start: "node dist/a.js" } }),
      "package-lock.json": "{}",
    },
    ["FROM node:20-alpine", "npm ci", "npm run build", "npm prune --omit=dev", 'CMD ["node", "dist/a.js"]'],
  ],
  [
    "node with pnpm",
    { "package.json": json({ main: "x.js" }), "pnpm-lock.yaml": "", "x.js": "" },
    ["corepack enable", "pnpm install --frozen-lockfile", 'CMD ["node", "x.js"]', "USER node"],
  ],
  [
    "pages that vite builds",
    {
      "package.json": json({ scripts: { build: "vite build" }, devDependencies: { vite: "5" } }),
      "yarn.lock": "",
    },
    ["yarn run build", "COPY --from=build /app/dist /usr/share/nginx/html", "USER nginx", "EXPOSE 8080"],
  ],
  [
    "flask",
    { "requirements.txt": "flask\n", "app.py": "app = Flask(__name__)", ".python-version": "3.11.4" },
    ["FROM python:3.11-slim", "pip install -r requirements.txt", '"flask", "--app", "app"', "USER app"],
  ],
  ["fastapi", { "requirements.txt": "fastapi", "main.py": "app = FastAPI()" }, ['"uvicorn", "main:app"']],
  [
    "django with gunicorn",
    { "requirements.txt": "django\ngunicorn", "manage.py": "", "site/wsgi.py": "" },
    ['"gunicorn", "--bind", "0.0.0.0:8000", "site.wsgi"'],
  ],
  [
    "poetry",
    { "pyproject.toml": 'requires-python = ">=3.10"', "poetry.lock": "" },
    ["python:3.10-slim", "poetry install"],
  ],
  ["a bare script", { "run.py": "print(1)" }, ['CMD ["python", "run.py"]']],
  [
    "go",
    { "go.mod": "module x\n\ngo 1.22.1\n", "go.sum": "", "cmd/serve/main.go": "" },
    ["FROM golang:1.22-alpine", "COPY go.mod go.sum ./", "./cmd/serve", "CGO_ENABLED=0"],
  ],
  [
    "rust",
    { "Cargo.toml": '[package]\nname = "tool"\nrust-version = "1.80"', "Cargo.lock": "" },
    ["rust:1.80-alpine", "--release --locked", "target/release/tool"],
  ],
  [
    "maven",
    { "pom.xml": "<properties><java.version>17</java.version></properties>" },
    ["maven:3-eclipse-temurin-17", "eclipse-temurin:17-jre", "mvn -B package"],
  ],
  [
    "gradle with its wrapper",
    { "build.gradle.kts": "", gradlew: "" },
    ["FROM eclipse-temurin:21-jdk", "sh ./gradlew"],
  ],
  [
    "php with composer",
    { "composer.json": json({ require: { php: "^8.2" } }), "public/index.php": "" },
    ["php:8.2-apache", "composer install --no-dev", "/var/www/html/public", "USER www-data"],
  ],
  [
    "php alone",
    { "index.php": "" },
    ["sed -i -e 's/:80>/:8080>/' /etc/apache2/sites-available/000-default.conf", "COPY . ./"],
  ],
  ["pages", { "public/index.html": "<p>" }, ["FROM nginx:1.27-alpine", "COPY public /usr/share/nginx/html"]],
];

describe("init", () => {
  test.each(cases)("%s", async (_, files, says) => {
    const directory = project(files);
    expect(await main(["init", directory], {})).toBe(0);
    const dockerfile = at(directory, "Dockerfile");
    for (const text of says) expect(dockerfile).toContain(text);
    // What everyone should get: more than that it parses.
    const parsed = parseDockerfile(dockerfile, "Dockerfile");
    const found = lintText(dockerfile, at(directory, ".dockerignore"));
    expect(found.filter(({ rule }) => rule.severity !== "info").map(({ detail }) => detail)).toEqual([]);
    const last = parsed.instructions.slice(parsed.instructions.findLastIndex(({ kind }) => kind === "FROM"));
    expect(last.some(({ kind }) => kind === "USER")).toBe(true);
    expect(dockerfile).not.toMatch(/^FROM \S+:latest/m);
    const { services } = parse(at(directory, "compose.yaml"));
    const port = /^EXPOSE (\d+)$/m.exec(dockerfile)![1];
    expect(services.app.ports).toEqual([`${port}:${port}`]);
    expect(at(directory, ".dockerignore").split("\n")).toContain(".env*");
  });

  test("files that are there stay, unless forced", async () => {
    const directory = project({ "index.html": "", Dockerfile: "mine" });
    expect(await main(["init", directory], {})).toBe(1);
    expect(at(directory, "Dockerfile")).toBe("mine");
    expect(existsSync(join(directory, "compose.yaml"))).toBe(false);
    expect(await main(["init", "--dry-run", directory], {})).toBe(0);
    expect(at(directory, "Dockerfile")).toBe("mine");
    expect(await main(["init", "--force", directory], {})).toBe(0);
    expect(at(directory, "Dockerfile")).not.toBe("mine");
  });

  test("an unknown folder, kind or port is refused and nothing is written", async () => {
    const directory = project({ "notes.txt": "" });
    for (const args of [[], ["--kind", "pyhton"], ["--kind", "go"], ["--port", "99999"]])
      expect(await main(["init", ...args, directory], {})).toBe(1);
    expect(await main(["init", join(directory, "none")], {})).toBe(1);
    expect(existsSync(join(directory, "Dockerfile"))).toBe(false);
  });

  test("a port that is asked for is everywhere", async () => {
    const directory = project({ "index.html": "" });
    expect(await main(["init", "-p", "9000", directory], {})).toBe(0);
    for (const text of ["listen 9000", "EXPOSE 9000"]) expect(at(directory, "Dockerfile")).toContain(text);
    expect(at(directory, "compose.yaml")).toContain("9000:9000");
  });

  test.each([
    ["My Project", "myproject"],
    ["_x", "x"],
    ["…", "app"],
  ])("%s is called %s", (name, expected) => expect(projectName(name)).toBe(expected));
});
