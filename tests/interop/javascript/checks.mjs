// What every part of the suite uses: the scenario's numbers, and one line for each check.
import { setTimeout as sleep } from "node:timers/promises";

export const number = (name) => Number(process.env[name]);

/** The first check that does not hold ends the program. */
export function check(what, holds, detail) {
  if (!holds) throw new Error(`${what}: ${JSON.stringify(detail)}`);
  console.log("ok", what);
}

export const isNow = (date) => Math.abs(Date.now() - date) < 1000 * number("CLOCK_SLACK_SECONDS");

export async function eventually(what, probe) {
  const deadline = Date.now() + 1000 * number("PATIENCE_SECONDS");
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited too long for ${what}`);
    await sleep(5);
  }
}

export async function waitUntilActive(client, StreamName) {
  let summary;
  await eventually(`${StreamName} to be ACTIVE`, async () => {
    summary = (await client.describeStreamSummary({ StreamName })).StreamDescriptionSummary;
    return summary.StreamStatus === "ACTIVE";
  });
  return summary;
}
