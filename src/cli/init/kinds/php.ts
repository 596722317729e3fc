import { type Kind, readJson, texts, versionIn } from "../project.ts";

export const php: Kind = {
  name: "php",
  plan(folder, { port = 8080 }) {
    const composer = readJson(folder, "composer.json");
    const root = folder.has("public/index.php") ? "public" : folder.has("index.php") ? "" : undefined;
    if (!composer && root === undefined) return undefined;
    const version = versionIn(texts(composer?.require).php, 2) ?? "8.3";
    const lock = folder.has("composer.lock") ? "composer.json composer.lock" : "composer.json";
    const vendor = composer
      ? `FROM composer:2 AS vendor
WORKDIR /app
COPY ${lock} ./
RUN --mount=type=cache,target=/tmp/cache composer install --no-dev --no-scripts --no-autoloader --prefer-dist
COPY . .
RUN composer dump-autoload --optimize --no-dev

`
      : "";
    const edits = [`s/:80>/:${port}>/`, ...(root ? [`s#/var/www/html#/var/www/html/${root}#`] : [])];
    return {
      kind: "php",
      because: [
        composer ? "composer.json: a PHP project" : "index.php: PHP pages",
        `Apache serves ${root ? `${root}/` : "the folder"}`,
      ],
      dockerfile: `# syntax=docker/dockerfile:1
${vendor}FROM php:${version}-apache
# An ordinary user can't open port 80.
RUN sed -i 's/Listen 80/Listen ${port}/' /etc/apache2/ports.conf && sed -i ${edits.map((edit) => `-e '${edit}'`).join(" ")} /etc/apache2/sites-available/000-default.conf && a2enmod rewrite
WORKDIR /var/www/html
COPY ${composer ? "--from=vendor /app" : "."} ./
USER www-data
EXPOSE ${port}
`,
      ignore: ["vendor", ".phpunit.result.cache"],
      port,
    };
  },
};
