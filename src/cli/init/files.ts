/** The three files that a plan comes to. */
import type { Plan } from "./project.ts";

/** What no image needs, whatever the language. Secrets stay out of the context. */
const always = [
  ".git",
  ".gitignore",
  ".dockerignore",
  "Dockerfile*",
  "compose*.y*ml",
  "docker-compose*.y*ml",
  ".env*",
  "*.pem",
  "*.key",
  ".DS_Store",
  ".idea",
  ".vscode",
];

/** @param name the project's name. @returns texts by file name */
export function renderFiles(plan: Plan, name: string): Record<string, string> {
  return {
    Dockerfile: plan.dockerfile,
    ".dockerignore": `${[...always, ...plan.ignore].join("\n")}\n`,
    "compose.yaml": compose(plan, name),
  };
}

function compose({ port, environment = {} }: Plan, name: string): string {
  const lines = [`name: ${projectName(name)}`, "services:", "  app:", "    build: ."];
  if (port !== undefined) lines.push("    ports:", `      - "${port}:${port}"`);
  const variables = Object.entries(environment);
  if (variables.length > 0) lines.push("    environment:");
  for (const [key, value] of variables) lines.push(`      ${key}: ${JSON.stringify(value)}`);
  lines.push(
    "    init: true",
    "    restart: unless-stopped",
    "    security_opt:",
    "      - no-new-privileges:true",
  );
  return `${lines.join("\n")}\n`;
}

/** Compose's rule for project names: lower case letters, digits, dashes and underscores. */
export function projectName(name: string): string {
  const fit = name
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, "")
    .replace(/^[_-]+/, "");
  return fit === "" ? "app" : fit;
}
