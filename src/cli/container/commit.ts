import { between, defineCommand } from "../command.ts";
import { changesQuery, splitTag } from "../image/files.ts";

export const command = defineCommand({
  name: "container commit",
  usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
  summary: "Create a new image from a container's changes",
  aliases: ["container commit", "commit"],
  flags: {
    author: { kind: "string", short: "a", help: "Author of the image" },
    change: { kind: "list", short: "c", help: "Apply a Dockerfile instruction to the image" },
    message: { kind: "string", short: "m", help: "Message of the image's history" },
    "no-pause": { kind: "bool", help: "Let the container run meanwhile" },
    pause: { kind: "bool", short: "p", help: "Pause the container meanwhile", default: "true", hidden: true },
  },
  arity: between(1, 2),
  examples: ["commit -m 'Add curl' -c 'CMD [\"sh\"]' box tools:1"],
  async run(context, { flags, args: [container, name] }) {
    const [repo, tag] = splitTag(name);
    const { Id } = await context.client.call<{ Id: string }>("POST", `/commit${changesQuery(flags.change)}`, {
      query: {
        container,
        repo,
        tag,
        comment: flags.message,
        author: flags.author,
        pause: flags.pause && !flags["no-pause"] ? 1 : 0,
      },
      // The container's own configuration stands; the changes alter it.
      body: {},
    });
    context.line(Id);
    return 0;
  },
});
