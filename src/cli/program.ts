import { basename } from "node:path";

/** The name that people called: `docker` where `gantry install docker-alias` has put one. */
export const program = basename(process.argv0) === "docker" ? "docker" : "gantry";
export const version = "0.1.0";
