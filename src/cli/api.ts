/** The parts of the API's answers that the client shows. */
import type { Platform } from "../lib/oci.ts";
import type { PortSummary } from "./container/ports.ts";

export interface ContainerSummary {
  Id: string;
  Names: string[] | null;
  Image: string;
  ImageID: string;
  Command: string;
  Created: number;
  State: string;
  Status: string;
  Ports: PortSummary[] | null;
  Labels: Record<string, string> | null;
  SizeRw?: number;
  SizeRootFs?: number;
  Mounts?: { Type?: string; Name?: string; Source?: string; Driver?: string }[] | null;
  NetworkSettings?: { Networks?: Record<string, unknown> | null };
  /** Of the image, since API 1.48. */
  ImageManifestDescriptor?: { platform?: { architecture: string; os: string; variant?: string } } | null;
}

export interface ContainerDetails {
  Id: string;
  Name: string;
  State: { Running: boolean; Paused?: boolean; Restarting?: boolean; Status: string; ExitCode: number };
  Config: { Tty: boolean; OpenStdin: boolean; StdinOnce?: boolean };
  HostConfig: { AutoRemove?: boolean };
  NetworkSettings?: { Ports?: Record<string, { HostIp: string; HostPort: string }[] | null> | null };
}

export interface ImageSummary {
  Id: string;
  RepoTags: string[] | null;
  RepoDigests: string[] | null;
  Created: number;
  Size: number;
  SharedSize?: number;
  Containers?: number;
  Labels?: Record<string, string> | null;
  Manifests?: ManifestSummary[];
}

/** A manifest of an image's index. */
export interface ManifestSummary {
  ID: string;
  Descriptor: { platform?: Platform };
  Available: boolean;
  Size: { Content: number; Total: number };
  Kind: string;
  ImageData?: { Platform: Platform; Containers?: string[] | null };
}

export interface NetworkSummary {
  Id: string;
  Name: string;
  Driver: string;
  Scope: string;
  Created: string;
  EnableIPv4?: boolean;
  EnableIPv6?: boolean;
  Internal?: boolean;
  Labels?: Record<string, string> | null;
}

export interface VolumeSummary {
  Name: string;
  Driver: string;
  Mountpoint: string;
  Scope: string;
  Labels?: Record<string, string> | null;
  UsageData?: { Size: number; RefCount: number } | null;
}
