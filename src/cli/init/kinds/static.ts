import type { Kind } from "../project.ts";

const roots = ["", "public", "dist", "site", "www", "_site"];

/** The stage that serves files with nginx as an ordinary user. @param copy the instruction that brings them */
export const serveFiles = (copy: string, port: number) => `FROM nginx:1.27-alpine
# An ordinary user can't open port 80, nor write where nginx does by default.
RUN sed -i 's/listen  *80;/listen ${port};/' /etc/nginx/conf.d/default.conf && chown -R nginx:nginx /var/cache/nginx /run
${copy}
USER nginx
EXPOSE ${port}
`;

export const staticSite: Kind = {
  name: "static",
  plan(folder, { port = 8080 }) {
    const root = roots.find((name) => folder.has(name ? `${name}/index.html` : "index.html"));
    if (root === undefined) return undefined;
    return {
      kind: "static",
      because: [`${root ? `${root}/` : ""}index.html: pages, served by nginx`],
      dockerfile: serveFiles(`COPY ${root || "."} /usr/share/nginx/html`, port),
      ignore: ["node_modules"],
      port,
    };
  },
};
