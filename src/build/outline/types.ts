/** What a Dockerfile takes and makes, told without building: BuildKit's subrequests (frontend/subrequests). */

/** Lines of the Dockerfile, from 1. */
export interface Place {
  line: number;
  endLine: number;
}

/** All that a target takes. */
export interface Outline {
  /** The target's name; `""`: it has none. */
  name: string;
  description: string;
  args: (Place & { name: string; value: string; description: string })[];
  secrets: (Place & { name: string; required: boolean })[];
  ssh: (Place & { name: string; required: boolean })[];
  caches: (Place & { id: string })[];
  /** The Dockerfile. */
  source: string;
}

export interface TargetList {
  targets: (Place & {
    /** `""`: it has none. */
    name: string;
    default: boolean;
    description: string;
    /** As the file has it. */
    base: string;
    platform: string;
  })[];
  source: string;
}
