/** `--device` and `--gpus`: devices of the host, and those that a driver gives. */
import { InvalidParameter } from "../../lib/errors.ts";
import { splitCsv } from "../args/values.ts";
import { keyValues } from "../filters.ts";

export interface DeviceRequest {
  Driver: string;
  Count: number;
  DeviceIDs: string[] | null;
  Capabilities: string[][] | null;
  Options: Record<string, string>;
}

/** `vendor.com/class=name`, as the Container Device Interface names devices. */
const cdiName = /^[A-Za-z][\w.-]*\/[A-Za-z][\w.-]*=[\w.:-]+$/;

/** The values of `--device` by kind. @throws InvalidParameter */
export function parseDevices(values: readonly string[]) {
  const named = values.filter((value) => cdiName.test(value));
  const requests: DeviceRequest[] =
    named.length === 0
      ? []
      : [{ Driver: "cdi", Count: 0, DeviceIDs: named, Capabilities: null, Options: {} }];
  return { devices: values.filter((value) => !cdiName.test(value)).map(parseDevice), requests };
}

/** `/dev/x[:/dev/y][:rwm]`. @throws InvalidParameter */
function parseDevice(text: string) {
  const parts = text.split(":");
  const [source = "", second, third] = parts;
  if (source !== "" && !source.startsWith("/"))
    throw new InvalidParameter(`${source} is not an absolute path`);
  if (source === "" || parts.length > 3) throw new InvalidParameter(`invalid device specification: ${text}`);
  const isMode = (part: string | undefined) => part !== undefined && /^[rwm]{1,3}$/.test(part);
  if (third !== undefined && !isMode(third)) throw new InvalidParameter(`bad mode specified: ${third}`);
  const target = second === undefined || (third === undefined && isMode(second)) ? source : second;
  const mode = third ?? (isMode(second) ? second : "rwm");
  return { PathOnHost: source, PathInContainer: target, CgroupPermissions: mode };
}

/** `all`, `2`, `"device=0,1"`, `driver=x,capabilities=y`. @throws InvalidParameter */
export function parseGpus(text: string): DeviceRequest {
  const request: DeviceRequest = { Driver: "", Count: 0, DeviceIDs: null, Capabilities: [], Options: {} };
  const capabilities = ["gpu"];
  const seen = new Set<string>();
  for (const field of splitCsv(text)) {
    const cut = field.indexOf("=");
    const key = cut < 0 ? "count" : field.slice(0, cut).toLowerCase();
    const value = field.slice(cut + 1);
    if (seen.has(key)) throw new InvalidParameter(`gpu request key '${key}' can be specified only once`);
    seen.add(key);
    if (key === "driver") request.Driver = value;
    else if (key === "count") request.Count = count(value);
    else if (key === "device") request.DeviceIDs = value.split(",");
    else if (key === "capabilities") capabilities.push(...value.split(","));
    else if (key === "options") request.Options = keyValues(value.split(","));
    else throw new InvalidParameter(`unexpected key '${key}' in '${field}'`);
  }
  if (!seen.has("count") && request.DeviceIDs === null) request.Count = 1;
  return { ...request, Capabilities: [capabilities] };
}

function count(text: string): number {
  if (text === "all") return -1;
  if (!/^-?\d+$/.test(text))
    throw new InvalidParameter(`invalid count (${text}): value must be either "all" or an integer`);
  return Number(text);
}
