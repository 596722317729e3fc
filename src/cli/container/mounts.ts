/** `-v` and `--mount`. */
import { resolve } from "node:path";
import { InvalidParameter } from "../../lib/errors.ts";
import { parseBool, parseBytes, splitCsv } from "../args/values.ts";

/** A mount as `HostConfig.Mounts` has it. */
export interface Mount {
  Type: string;
  Source?: string;
  Target: string;
  ReadOnly?: boolean;
  Consistency?: string;
  BindOptions?: {
    Propagation?: string;
    NonRecursive?: boolean;
    CreateMountpoint?: boolean;
    ReadOnlyNonRecursive?: boolean;
    ReadOnlyForceRecursive?: boolean;
  };
  VolumeOptions?: {
    NoCopy?: boolean;
    Labels?: Record<string, string>;
    Subpath?: string;
    DriverConfig?: { Name?: string; Options?: Record<string, string> };
  };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
  ImageOptions?: { Subpath?: string };
}

/** `-v` values: with a source they are binds, without one anonymous volumes. */
export function splitVolumes(
  values: readonly string[],
  cwd: string,
): { binds: string[]; volumes: Record<string, object> } {
  const binds: string[] = [];
  const volumes: Record<string, object> = {};
  for (const value of values) {
    const colon = value.indexOf(":");
    if (value === "") throw new InvalidParameter("invalid empty volume spec");
    if (colon < 0) volumes[value] = {};
    else {
      const source = value.slice(0, colon);
      // A path with a leading dot is relative to where the client runs; other names are volumes.
      binds.push(source.startsWith(".") ? resolve(cwd, source) + value.slice(colon) : value);
    }
  }
  return { binds, volumes };
}

/** @throws InvalidParameter with Docker's text */
export function parseMount(text: string, cwd: string): Mount {
  const mount: Mount = { Type: "volume", Target: "" };
  let fields: string[];
  try {
    fields = splitCsv(text);
  } catch (error) {
    throw invalid(text, (error as Error).message);
  }
  if (text === "") throw invalid(text, "value is empty");
  for (const field of fields) {
    const equals = field.indexOf("=");
    const key = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    const value = equals < 0 ? undefined : field.slice(equals + 1);
    if (key !== key.trim())
      throw invalid(text, `invalid option '${key}' in '${field}': option should not have whitespace`);
    try {
      setField(mount, key, value, field, cwd);
    } catch (error) {
      throw invalid(text, (error as Error).message);
    }
  }
  check(mount, text);
  return mount;
}

/** Options that may stand alone. */
const switches = new Set(["readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"]);

function setField(mount: Mount, key: string, value: string | undefined, field: string, cwd: string): void {
  const text = value ?? "";
  if (value === undefined && !switches.has(key))
    throw new Error(`invalid field '${field}' must be a key=value pair`);
  const flag = () => {
    if (value === undefined) return true;
    try {
      return parseBool(value);
    } catch {
      throw new Error(`invalid value for ${key}: ${value}`);
    }
  };
  switch (key) {
    case "type":
      mount.Type = text.toLowerCase();
      break;
    case "source":
    case "src":
      mount.Source = text.startsWith(".") ? resolve(cwd, text) : text;
      break;
    case "target":
    case "dst":
    case "destination":
      mount.Target = text;
      break;
    case "readonly":
    case "ro":
      mount.ReadOnly = flag();
      break;
    case "consistency":
      mount.Consistency = text.toLowerCase();
      break;
    case "bind-propagation":
      mount.BindOptions = { ...mount.BindOptions, Propagation: text.toLowerCase() };
      break;
    case "bind-nonrecursive":
      mount.BindOptions = { ...mount.BindOptions, NonRecursive: flag() };
      break;
    case "bind-create-src":
      mount.BindOptions = { ...mount.BindOptions, CreateMountpoint: flag() };
      break;
    case "bind-recursive":
      mount.BindOptions = { ...mount.BindOptions, ...recursion(text) };
      break;
    case "volume-nocopy":
      mount.VolumeOptions = { ...mount.VolumeOptions, NoCopy: flag() };
      break;
    case "volume-subpath":
      mount.VolumeOptions = { ...mount.VolumeOptions, Subpath: text };
      break;
    case "volume-label":
      mount.VolumeOptions = {
        ...mount.VolumeOptions,
        Labels: { ...mount.VolumeOptions?.Labels, ...pair(text) },
      };
      break;
    case "volume-driver":
      mount.VolumeOptions = {
        ...mount.VolumeOptions,
        DriverConfig: { ...mount.VolumeOptions?.DriverConfig, Name: text },
      };
      break;
    case "volume-opt": {
      const driver = mount.VolumeOptions?.DriverConfig;
      const Options = { ...driver?.Options, ...pair(text) };
      mount.VolumeOptions = { ...mount.VolumeOptions, DriverConfig: { ...driver, Options } };
      break;
    }
    case "image-subpath":
      mount.ImageOptions = { Subpath: text };
      break;
    case "tmpfs-size":
      mount.TmpfsOptions = { ...mount.TmpfsOptions, SizeBytes: parseBytes(text) };
      break;
    case "tmpfs-mode":
      if (!/^[0-7]+$/.test(text)) throw new Error(`invalid value for ${key}: ${text}`);
      mount.TmpfsOptions = { ...mount.TmpfsOptions, Mode: Number.parseInt(text, 8) };
      break;
    default:
      throw new Error(`unexpected key '${key}' in '${field}'`);
  }
}

function recursion(value: string): NonNullable<Mount["BindOptions"]> {
  switch (value) {
    case "enabled":
      return {};
    case "disabled":
      return { NonRecursive: true };
    case "writable":
      return { ReadOnlyNonRecursive: true };
    case "readonly":
      return { ReadOnlyForceRecursive: true };
    default:
      throw new Error(
        `invalid value for bind-recursive: ${value} (must be "enabled", "disabled", "writable", or "readonly")`,
      );
  }
}

function pair(text: string): Record<string, string> {
  const equals = text.indexOf("=");
  return equals < 0 ? { [text]: "" } : { [text.slice(0, equals)]: text.slice(equals + 1) };
}

function check(mount: Mount, text: string): void {
  if (mount.Type === "") throw invalid(text, "type is required");
  if (mount.Target === "") throw invalid(text, "target is required");
  const foreign: [object | undefined, string, string][] = [
    [mount.BindOptions, "bind", "bind"],
    [mount.VolumeOptions, "volume", "volume"],
    [mount.TmpfsOptions, "tmpfs", "tmpfs"],
    [mount.ImageOptions, "image", "image"],
  ];
  for (const [options, prefix, type] of foreign) {
    if (options && mount.Type !== type)
      throw invalid(text, `cannot mix '${prefix}-*' options with mount type '${mount.Type}'`);
  }
}

function invalid(text: string, reason: string): InvalidParameter {
  return new InvalidParameter(`invalid argument ${JSON.stringify(text)} for "--mount" flag: ${reason}`);
}
