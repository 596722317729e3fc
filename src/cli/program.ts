/** The name that people called: `docker` where `gantry install docker-alias` has put one. */
export const program = process.argv0.split("/").at(-1) === "docker" ? "docker" : "gantry";
export const version = "0.1.0";
