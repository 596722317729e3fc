/**
 * What the API's versions differ in, as a table. Encoders write every field that any version has, bodies may have any
 * field; what a version doesn't know is then taken out. (Source: the Engine API's version history.)
 */

/** A field that some versions have. */
interface Field {
  /** From the answer's or body's top: `HostConfig.Mounts.*.Type`; `*` is each item, or each value of an object. */
  path: string;
  /** The first minor version that has it; left out: all up to `until`. */
  since?: number;
  /** The first that hasn't it any more. */
  until?: number;
}

const before = (until: number, ...paths: string[]): Field[] => paths.map((path) => ({ path, until }));
const from = (since: number, ...paths: string[]): Field[] => paths.map((path) => ({ path, since }));

const endpoint = (place: string): Field[] => [
  ...from(44, `${place}.DNSNames`),
  ...from(48, `${place}.GwPriority`),
];

/** Settings of a container that images don't have. */
const notOfImages = [
  ...["Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr"],
  ...["Tty", "OpenStdin", "StdinOnce", "Image"],
];

const containerSummary = [
  ...from(46, "HostConfig.Annotations"),
  ...from(48, "ImageManifestDescriptor"),
  ...endpoint("NetworkSettings.Networks.*"),
];
const imageSummary = [...before(44, "VirtualSize"), ...from(48, "Descriptor")];
const below = (place: string, fields: Field[]): Field[] =>
  fields.map((field) => ({ ...field, path: `${place}.${field.path}` }));

const answers = {
  "container list": below("*", containerSummary),
  container: [
    ...from(41, "HostConfig.CgroupnsMode"),
    ...before(42, "HostConfig.KernelMemory"),
    ...from(43, "HostConfig.Annotations"),
    ...before(44, "Config.MacAddress"),
    ...from(44, "Config.Healthcheck.StartInterval"),
    ...from(48, "ImageManifestDescriptor"),
    ...endpoint("NetworkSettings.Networks.*"),
  ],
  "image list": below("*", imageSummary),
  image: [
    ...before(44, "VirtualSize"),
    ...before(45, "Container"),
    ...from(48, "Descriptor", "Manifests"),
    ...before(50, ...notOfImages.map((name) => `Config.${name}`)),
  ],
  network: from(48, "EnableIPv4"),
  "network list": from(48, "*.EnableIPv4"),
  "disk usage": [
    ...below("Images.*", imageSummary),
    ...below("Containers.*", containerSummary),
    ...before(42, "BuilderSize", "BuildCache.*.Parent"),
    ...from(42, "BuildCache.*.Parents"),
  ],
  version: from(35, "Platform", "Components"),
  info: [
    ...from(39, "ProductLicense", "Warnings"),
    ...from(41, "CgroupVersion", "DefaultAddressPools"),
    ...before(42, "KernelMemory"),
    ...from(44, "CDISpecDirs", "Runtimes.*.status"),
    ...before(
      49,
      "RegistryConfig.AllowNondistributableArtifactsCIDRs",
      "RegistryConfig.AllowNondistributableArtifactsHostnames",
      ...["ContainerdCommit.Expected", "RuncCommit.Expected", "InitCommit.Expected"],
    ),
    ...from(49, "FirewallBackend"),
    ...before(50, "BridgeNfIptables", "BridgeNfIp6tables"),
    ...from(50, "DiscoveredDevices"),
  ],
} satisfies Record<string, Field[]>;

/** Fields that a version's daemon passed over, as it didn't know them. */
const bodies = {
  "container create": [
    ...from(25, "HostConfig.AutoRemove", "StopTimeout"),
    ...from(40, "HostConfig.Mounts.*.BindOptions.NonRecursive"),
    ...from(41, "HostConfig.CgroupnsMode"),
    ...from(40, "HostConfig.KernelMemoryTCP"),
    ...before(42, "HostConfig.KernelMemory"),
    ...from(42, "HostConfig.ConsoleSize", "HostConfig.Mounts.*.BindOptions.CreateMountpoint"),
    ...from(43, "HostConfig.Annotations"),
    ...from(44, "Healthcheck.StartInterval", "HostConfig.Mounts.*.BindOptions.ReadOnlyNonRecursive"),
    ...from(46, "HostConfig.Mounts.*.TmpfsOptions.Options"),
    ...from(44, "NetworkingConfig.EndpointsConfig.*.MacAddress"),
    ...from(48, "HostConfig.Mounts.*.ImageOptions"),
    ...from(48, "NetworkingConfig.EndpointsConfig.*.GwPriority"),
  ],
  "container update": [...from(40, "PidsLimit", "KernelMemoryTCP"), ...before(42, "KernelMemory")],
  "exec create": [...from(25, "Env"), ...from(35, "WorkingDir"), ...from(42, "ConsoleSize")],
  "exec start": from(42, "ConsoleSize"),
  "network create": from(48, "EnableIPv4"),
  "network connect": [...from(44, "EndpointConfig.MacAddress"), ...from(48, "EndpointConfig.GwPriority")],
} satisfies Record<string, Field[]>;

export type AnswerName = keyof typeof answers;
export type BodyName = keyof typeof bodies;

/** Takes out of an answer what version 1.`version` hasn't. Changes `answer`, and returns it. */
export const answerOf = <T>(answer: T, name: AnswerName, version: number): T =>
  without(answer, unknownTo(answers[name], version));

/** Takes out of a body what version 1.`version` passes over. Changes `body`, and returns it. */
export const bodyOf = <T>(body: T, name: BodyName, version: number): T =>
  without(body, unknownTo(bodies[name], version));

const unknownTo = (fields: readonly Field[], version: number): Field[] =>
  fields.filter(({ since = 0, until = Number.POSITIVE_INFINITY }) => version < since || version >= until);

function without<T>(value: T, fields: readonly Field[]): T {
  for (const { path } of fields) remove(value, path.split("."));
  return value;
}

function remove(value: unknown, [name, ...rest]: string[]): void {
  if (value === null || typeof value !== "object" || name === undefined) return;
  if (name === "*") for (const item of Object.values(value)) remove(item, rest);
  else if (rest.length > 0) remove((value as Record<string, unknown>)[name], rest);
  else if (Object.hasOwn(value, name)) delete (value as Record<string, unknown>)[name];
}
