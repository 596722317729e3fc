// biome-ignore-all lint/suspicious/noTemplateCurlyInString: they are variables of Dockerfiles
/** Dockerfiles by chance: of what the builder of Docker 20.10 knows, or of today's language. */
import fc from "fast-check";

export interface Case {
  dockerfile: string;
  ignore: string;
}

/** The context of every case, besides Dockerfile and .dockerignore. */
export const contextFiles: Record<string, string> = {
  a: "a",
  b: "b",
  "a b": "blank",
  "d/x": "x",
  "d/y.md": "y",
  "d/e/z": "z",
  "d/e/.hidden": "h",
  "n/a.txt": "1",
  "n/b.txt": "2",
};
export const executables = ["b", "d/e/z"];

const pick = (...values: string[]) => fc.constantFrom(...values);
const list = <T>(item: fc.Arbitrary<T>, maxLength: number) => fc.array(item, { minLength: 1, maxLength });
const line = (template: TemplateStringsArray, ...parts: fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((values) => String.raw({ raw: template.raw }, ...values));

const name = pick("A", "B", "FOO", "path_1", "PATH");
const oldVariables = [
  "$A",
  "${A}",
  "${B:-def}",
  "${B:+alt}",
  "${FOO:-$A}",
  "${FOO:+${A}x}",
  "$A$B",
  "${A}_$B",
  "$MISSING",
  "\\$A",
  "$$",
];
const newVariables = [
  "${A#x}",
  "${FOO%%x*}",
  "${B/e/E}",
  "${B//[ae]/_}",
  "${A##*x}",
  "${B%n}",
  "${MISSING-m}",
];

/** @param today - with what came after 20.10 */
export function casesOf(today: boolean): fc.Arbitrary<Case> {
  const variable = pick(...oldVariables, ...(today ? newVariables : []));
  const plain = pick("x", "1", "a.b", "/usr/bin", "é", "a,b", "#x", "x=y", "-", "%", "*", "a:b");
  const quoted = fc.oneof(
    line`"${variable} x"`,
    line`'${variable} x'`,
    line`"${plain} \\"q\\""`,
    pick('""', "''", "'it''s'", '"a  b"', "a\\ b", 'a"b c"d', '"it\'s"', "'\"'", '"\\\\"', "\\'", "\\x"),
  );
  const value = fc.oneof(plain, variable, quoted, line`${plain}${variable}`, line`${variable}${plain}`);
  const pair = line`${name}=${value}`;
  const shellText = pick(
    "echo hi",
    "echo $A ${B}",
    'echo "a  b"',
    "a && b || c",
    "x 'y z'",
    "[not json]",
    "['single']",
    "a \\\n  b",
    "a \\\n# comment\n  b",
    "exec  two   blanks",
  );
  const json = fc
    .array(pick("sh", "-c", "a b", "$A", '"', "\\", "é", ""), { maxLength: 3 })
    .map((args) => JSON.stringify(args));
  const command = fc.oneof(shellText, json);
  const directory = pick("/w", "rel", "/w/$A", "../up", "/w/./x/", '"/q r"', "/", ".", "$A", "/etc/new");
  const owner = pick("1000", "1000:1001", "root", "nobody", "nobody:nogroup", "0:7");

  const metadata = fc.oneof(
    { weight: 5, arbitrary: list(pair, 3).map((pairs) => `ENV ${pairs.join(" ")}`) },
    line`ENV ${name} ${fc.oneof(value, pick("two  words", 'x "y" z', "$A  $B", "a=b c"))}`,
    list(fc.oneof(pair, line`"k ${plain}"=${value}`, line`com.x/y-z=${value}`), 2).map(
      (pairs) => `LABEL ${pairs.join(" ")}`,
    ),
    line`LABEL ${pick("a", "a.b")} ${fc.oneof(value, pick("two  words"))}`,
    fc.oneof(line`ARG ${name}`, line`ARG ${name}=${value}`),
    line`USER ${fc.oneof(owner, pick("$A", "someone", "${B:-1000}"))}`,
    list(
      pick("80", "81/udp", "443/tcp", "8000-8003", "90-91/udp", "$MISSING", "127.0.0.1:80:81", "82/TCP"),
      2,
    ).map((ports) => `EXPOSE ${ports.join(" ")}`),
    line`VOLUME ${pick("/v", "/v /v2", '["/a b","/c"]', "$A", "/v/$B", "rel", '["$A"]', '"/q"')}`,
    line`${pick("CMD", "ENTRYPOINT")} ${command}`,
    line`HEALTHCHECK ${pick("NONE", "CMD x", 'CMD ["x","y"]', "--interval=5s CMD x $A", "--timeout=1m30s --retries=3 CMD x", "--start-period=500ms CMD x", "cmd x")}`,
    line`ONBUILD ${pick("RUN  x", "ENV a=$A", "COPY a b", "CMD x", "env q=1", "LABEL a=b c=d")}`,
    line`SHELL ${pick('["/bin/sh","-c"]', '["/bin/busybox","sh","-ec"]', '["x"]')}`,
    line`STOPSIGNAL ${pick("SIGTERM", "9", "SIGKILL", "KILL", "SIGRTMIN+3", "sigint", "15")}`,
    pick("MAINTAINER me <me@example.org>", "# comment", "", "  # indented comment"),
  );

  const destination = pick("/", "/out", "/out/", "./", "rel/", "/deep/er/", "/out/$A/", "/etc/", "/tmp/f");
  const copyFlags = pick(
    "",
    "",
    "",
    "--chown=1000 ",
    "--chown=1000:1001 ",
    "--chown=nobody ",
    "--chown=nobody:nogroup ",
    "--chmod=0755 ",
    ...(today
      ? [
          "--chmod=600 ",
          "--chmod=u=rwX,go=rX ",
          "--chmod=go-rwx ",
          "--link ",
          "--exclude=*.md ",
          "--exclude=e ",
        ]
      : []),
  );
  const sources = pick(
    "a",
    "a b",
    "d",
    "d/",
    "d/e",
    "*",
    "n/*.txt",
    "d/* a",
    "[ab]",
    "?",
    ".",
    "/a",
    "missing",
    "mis*",
    "./d/../a",
    "$A",
    "n/a.txt n/b.txt",
    "link",
  );
  const files = fc.oneof(
    { weight: 4, arbitrary: line`COPY ${copyFlags}${sources} ${destination}` },
    line`COPY ["a b", "${destination}"]`,
    line`ADD ${pick("", "--chown=1000:1001 ")}${pick("a", "d")} ${destination}`,
    line`ADD ${pick("", ...(today ? ["--chown=1000:1001 ", "--chmod=700 ", "--unpack=false "] : []))}${pick("archive.tar", "archive.tar.gz", "archive.tar a", "*")} ${destination}`,
    { weight: 2, arbitrary: line`WORKDIR ${directory}` },
  );
  const run = line`RUN ${pick("echo $A > /f", "mkdir -p /out && chmod 700 /out", "rm -rf /etc/group", "echo $A $B; pwd > /pwd", "id -u > /id; id -g >> /id", "ln -s /tmp /link && touch /link/x", "false", "rm -rf /tmp && echo f > /tmp")}`;
  const heredoc = fc.oneof(
    fc
      .tuple(
        pick("COPY", "ADD", "ONBUILD COPY"),
        pick("", "--chmod=600 ", "--chown=1000 "),
        pick("<<END", "<<-END", '<<"END"'),
        destination,
        plain,
        variable,
      )
      .map(
        ([keyword, flags, opener, to, text, used]) =>
          `${keyword} ${flags}${opener} ${to}\n${text} ${used}\n \\$A '${used}' "\\x"\nEND`,
      ),
    fc
      .tuple(pick("RUN", "ONBUILD RUN"), pick("", "#!/bin/busybox sh\n"), plain)
      .map(([keyword, shebang, text]) => `${keyword} <<END\n${shebang}echo '${text}' $A > /doc\nEND`),
  );
  const fromStage = line`COPY --from=${pick("0", "first", "FIRST", "busybox")} ${pick("/etc/passwd", "/f", "/out", "/etc", "/tmp", "/bin/../etc/group", "/nothing")} ${destination}`;

  /** Some words in lower case: the language does not mind. */
  const instruction = fc
    .tuple(
      fc.oneof(
        { weight: 12, arbitrary: metadata },
        { weight: 7, arbitrary: files },
        { weight: 1, arbitrary: run },
        ...(today ? [{ weight: 3, arbitrary: heredoc }] : []),
      ),
      fc.integer({ min: 0, max: 9 }),
    )
    .map(([text, n]) => (n === 0 ? text.replace(/^[A-Z]+/, (word) => word.toLowerCase()) : text));

  const stage = (from: fc.Arbitrary<string>) =>
    fc.tuple(from, fc.array(instruction, { minLength: 1, maxLength: 7 })).map((parts) => parts.flat());

  const ignore = fc.oneof(
    { weight: 3, arbitrary: fc.constant("") },
    list(
      pick(
        "a",
        "d",
        "*.md",
        "**/*.md",
        "!d/y.md",
        "d/*",
        "!d/e",
        "*",
        "!a",
        "n/?.txt",
        "/b",
        "**/z",
        "# c",
        "d/e/",
        "!n/a.txt",
        ".*",
      ),
      3,
    ).map((lines) => `${lines.join("\n")}\n`),
  );

  return fc
    .record({
      globals: fc.array(line`ARG ${pick("A", "G")}=${plain}`, { maxLength: 1 }),
      first: fc.option(stage(pick("FROM busybox AS first", "FROM scratch AS first"))),
      last: stage(pick("FROM busybox", "FROM busybox", "FROM scratch", "from busybox:latest")),
      copies: fc.array(fromStage, { maxLength: 1 }),
      continues: fc.boolean(),
      ignore,
    })
    .map(({ globals, first, last: [from, ...rest], copies, continues, ignore }) => ({
      dockerfile: `${[...globals, ...(first ?? []), first && continues ? "FROM first" : from, ...rest, ...(first ? copies : [])].join("\n")}\n`,
      ignore,
    }));
}
