/** Languages whose build leaves one thing to run: Go, Rust, Java. */
import { type Folder, type Kind, versionIn } from "../project.ts";

/** The last stage of a static program: a small system with an ordinary user. */
const runProgram = (port: number) => `FROM alpine:3.20
RUN adduser -S -u 10001 app
COPY --from=build /out/app /usr/local/bin/app
USER app
EXPOSE ${port}
CMD ["app"]
`;

export const go: Kind = {
  name: "go",
  plan(folder, { port = 8080 }) {
    const module = folder.read("go.mod");
    if (module === undefined) return undefined;
    const version = versionIn(/^go\s+(\S+)/m.exec(module)?.[1], 2) ?? "1.23";
    const programs = folder.names("cmd").filter((name) => /^[\w.-]+$/.test(name));
    const target = folder.has("main.go") || programs.length === 0 ? "." : `./cmd/${programs[0]}`;
    const sums = folder.has("go.sum") ? "go.mod go.sum" : "go.mod";
    return {
      kind: "go",
      because: [`go.mod: a Go module, built from ${target}`],
      dockerfile: `# syntax=docker/dockerfile:1
FROM golang:${version}-alpine AS build
WORKDIR /src
COPY ${sums} ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/app ${target}

${runProgram(port)}`,
      ignore: ["bin", "*.test", "*.out"],
      port,
    };
  },
};

export const rust: Kind = {
  name: "rust",
  plan(folder, { port = 8080 }) {
    const manifest = folder.read("Cargo.toml");
    if (manifest === undefined) return undefined;
    const name =
      /\[\[bin\]\][^[]*?\bname\s*=\s*"([\w-]+)"/.exec(manifest)?.[1] ??
      /\[package\][^[]*?\bname\s*=\s*"([\w-]+)"/.exec(manifest)?.[1] ??
      folder.name;
    const version = versionIn(/rust-version\s*=\s*"([^"]+)"/.exec(manifest)?.[1], 2) ?? "1";
    return {
      kind: "rust",
      because: [`Cargo.toml: a Rust crate with the program ${name}`],
      dockerfile: `# syntax=docker/dockerfile:1
FROM rust:${version}-alpine AS build
WORKDIR /src
RUN apk add --no-cache musl-dev
COPY . .
# Built in a cache that stays between builds, so the program is copied out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target cargo build --release${folder.has("Cargo.lock") ? " --locked" : ""} && mkdir /out && cp target/release/${name} /out/app

${runProgram(port)}`,
      ignore: ["target"],
      port,
    };
  },
};

export const java: Kind = {
  name: "java",
  plan(folder, { port = 8080 }) {
    const tool = buildTool(folder);
    if (!tool) return undefined;
    const described = folder.read(tool.file) ?? "";
    const version =
      versionIn(
        /<(?:java\.version|maven\.compiler\.release|maven\.compiler\.source)>\s*([^<]+)</.exec(
          described,
        )?.[1] ??
          /languageVersion\s*(?:=|\.set\()\s*JavaLanguageVersion\.of\((\d+)\)/.exec(described)?.[1] ??
          /sourceCompatibility\s*=\s*\D*(\d+)/.exec(described)?.[1],
        1,
      ) ?? "21";
    return {
      kind: "java",
      because: [`${tool.file}: a Java project, built by ${tool.name}`],
      dockerfile: `# syntax=docker/dockerfile:1
FROM ${tool.image(version)} AS build
WORKDIR /src
COPY . .
# Jars besides the one to run (sources, plain classes) are left out.
RUN --mount=type=cache,target=${tool.cache} ${tool.command} && mkdir /out && cp $(ls ${tool.output}/*.jar | grep -v -e plain -e sources -e javadoc | head -n 1) /out/app.jar

FROM eclipse-temurin:${version}-jre
RUN useradd --system --uid 10001 app
COPY --from=build /out/app.jar /app/app.jar
USER app
EXPOSE ${port}
CMD ["java", "-XX:MaxRAMPercentage=75", "-jar", "/app/app.jar"]
`,
      ignore: ["target", "build", ".gradle", "*.class"],
      port,
    };
  },
};

function buildTool(folder: Folder) {
  const jdk = (version: string) => `eclipse-temurin:${version}-jdk`;
  if (folder.has("pom.xml")) {
    const wrapped = folder.has("mvnw");
    return {
      name: "Maven",
      file: "pom.xml",
      image: wrapped ? jdk : (version: string) => `maven:3-eclipse-temurin-${version}`,
      command: `${wrapped ? "sh ./mvnw" : "mvn"} -B package -DskipTests`,
      cache: "/root/.m2",
      output: "target",
    };
  }
  const file = ["build.gradle.kts", "build.gradle"].find((name) => folder.has(name));
  if (file === undefined) return undefined;
  const wrapped = folder.has("gradlew");
  return {
    name: "Gradle",
    file,
    image: wrapped ? jdk : (version: string) => `gradle:8-jdk${version}`,
    command: `${wrapped ? "sh ./gradlew" : "gradle"} --no-daemon assemble`,
    cache: "/root/.gradle",
    output: "build/libs",
  };
}
