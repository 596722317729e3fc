/** Steps of a client's scenario: a line for each, and the end at the first that fails. */
let count = 0;

// Testcontainers takes its connections out of what keeps a program alive, as in a test runner that lives anyway.
setInterval(() => {}, 1000);

/** @param {string} name @param {unknown} holds */
export function step(name, holds) {
  count++;
  console.log(`${holds ? "ok" : "FAILED"} ${count} ${name}`);
  if (!holds) process.exit(1);
}

/** @param {() => Promise<unknown>} call @returns {Promise<{ statusCode?: number, message: string } | undefined>} */
export async function refusal(call) {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** @param {() => Promise<unknown>} condition */
export async function until(condition, seconds = 60) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    if (await condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

/** @param {AsyncIterable<Uint8Array | string>} stream */
export async function textOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}

export function finish() {
  console.log(`${count} steps`);
  process.exit(0);
}
