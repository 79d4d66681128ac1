// A delivery in a line of JSON, and then, for each line with a number, verified so often; the answer is
// how many nanoseconds that took. The comparison is Quote3D's, as its page describes it for Node, with
// each of the secrets in turn; what is accepted is parsed.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createInterface } from "node:readline";

function verdict(secret, body, signature) {
  const expected = "sha256=" + createHmac("sha256", secret).update(body).digest("hex");
  const [received, computed] = [Buffer.from(signature, "utf8"), Buffer.from(expected, "utf8")];
  return received.length === computed.length && timingSafeEqual(received, computed);
}

let delivery;
let event;
for await (const line of createInterface({ input: process.stdin })) {
  if (delivery === undefined) {
    const { body_base64, secrets, signature, is_accepted } = JSON.parse(line);
    delivery = { body: Buffer.from(body_base64, "base64"), secrets, signature, is_accepted };
    continue;
  }
  const { body, secrets, signature, is_accepted } = delivery;
  const start = process.hrtime.bigint();
  for (let times = Number(line); times > 0; times--) {
    const accepted = secrets.some((secret) => verdict(secret, body, signature));
    if (accepted !== is_accepted) throw new Error("another verdict");
    if (accepted) event = JSON.parse(body.toString("utf8")).event;
  }
  const time = process.hrtime.bigint() - start;
  if (is_accepted && typeof event !== "string") throw new Error("nothing was parsed");
  console.log(String(time));
}
