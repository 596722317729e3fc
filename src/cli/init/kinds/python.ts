import { execForm, type Folder, type Kind, versionIn } from "../project.ts";

interface Installer {
  /** The file that shows it is used. */
  file: string;
  /** Files that decide what is installed. */
  files: string[];
  /** Installs into the virtual environment /venv. */
  command: string;
  /** A second step, when the project itself is to be installed too. */
  project?: string;
}

const installers: Installer[] = [
  {
    file: "uv.lock",
    files: ["pyproject.toml", "uv.lock"],
    command: "pip install uv && UV_PROJECT_ENVIRONMENT=/venv uv sync --frozen --no-dev --no-install-project",
  },
  {
    file: "poetry.lock",
    files: ["pyproject.toml", "poetry.lock"],
    command: "pip install poetry && VIRTUAL_ENV=/venv poetry install --only main --no-root",
  },
  {
    file: "requirements.txt",
    files: ["requirements.txt"],
    command: "/venv/bin/pip install -r requirements.txt",
  },
  {
    file: "Pipfile.lock",
    files: ["Pipfile", "Pipfile.lock"],
    command: "pip install pipenv && VIRTUAL_ENV=/venv pipenv sync",
  },
  { file: "pyproject.toml", files: ["pyproject.toml"], command: "true", project: "/venv/bin/pip install ." },
];

export const python: Kind = {
  name: "python",
  plan(folder, { port = 8000 }) {
    const scripts = folder.names().filter((name) => name.endsWith(".py"));
    const installer = installers.find(({ file }) => folder.has(file));
    if (!installer && scripts.length === 0) return undefined;
    const version =
      versionIn(folder.read(".python-version"), 2) ??
      versionIn(/requires-python\s*=\s*"([^"]+)"/.exec(folder.read("pyproject.toml") ?? "")?.[1], 2) ??
      "3.12";
    const { command, why } = startCommand(folder, scripts, installer, port);
    const copied = installer?.files.filter((name) => folder.has(name)).join(" ");
    const cached = "RUN --mount=type=cache,target=/root/.cache/pip";
    const steps = installer
      ? [
          "# What decides the dependencies first: they are installed again only when it changes.",
          `COPY ${copied} ./`,
          ...(installer.command === "true" ? [] : [`${cached} ${installer.command}`]),
          ...(installer.project ? ["COPY . .", `${cached} ${installer.project}`] : []),
        ]
      : [];
    const dockerfile = `# syntax=docker/dockerfile:1
FROM python:${version}-slim AS build
WORKDIR /app
RUN python -m venv /venv
${steps.map((step) => `${step}\n`).join("")}
FROM python:${version}-slim
RUN useradd --system --uid 10001 app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
USER app
EXPOSE ${port}
CMD ${execForm(command)}
`;
    return {
      kind: "python",
      because: [installer ? `${installer.file}: a Python project` : `${scripts[0]}: a Python program`, why],
      dockerfile,
      ignore: ["__pycache__", "*.pyc", ".venv", "venv", ".pytest_cache", ".mypy_cache"],
      port,
    };
  },
};

function startCommand(
  folder: Folder,
  scripts: string[],
  installer: Installer | undefined,
  port: number,
): { command: string[]; why: string } {
  const wanted = (installer?.files ?? [])
    .map((name) => folder.read(name) ?? "")
    .join("\n")
    .toLowerCase();
  const bind = `0.0.0.0:${port}`;
  const main =
    ["main.py", "app.py", "server.py", "run.py"].find((name) => scripts.includes(name)) ?? scripts[0];
  const module = main?.replace(/\.py$/, "") ?? "main";
  const says = (pattern: RegExp) => pattern.test((main && folder.read(main)) || "");
  if (scripts.includes("manage.py")) {
    const django = folder.names().find((name) => folder.has(`${name}/wsgi.py`)) ?? "config";
    if (wanted.includes("gunicorn"))
      return {
        command: ["gunicorn", "--bind", bind, `${django}.wsgi`],
        why: "manage.py and gunicorn: Django",
      };
    return { command: ["python", "manage.py", "runserver", bind], why: "manage.py: Django" };
  }
  if (wanted.includes("fastapi") || wanted.includes("uvicorn") || says(/\bFastAPI\(/))
    return {
      command: ["uvicorn", `${module}:app`, "--host", "0.0.0.0", "--port", String(port)],
      why: `FastAPI: uvicorn serves ${module}:app`,
    };
  if (wanted.includes("gunicorn"))
    return { command: ["gunicorn", "--bind", bind, `${module}:app`], why: `gunicorn serves ${module}:app` };
  if (wanted.includes("flask") && !says(/\.run\(/))
    return {
      command: ["flask", "--app", module, "run", "--host", "0.0.0.0", "--port", String(port)],
      why: `Flask serves ${module}`,
    };
  return { command: ["python", main ?? "main.py"], why: `starts with: python ${main ?? "main.py"}` };
}
