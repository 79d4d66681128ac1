// The providers' comparison in JavaScript, as their pages describe it: the whole header value against
// `sha256=` and the hex HMAC-SHA256 of the raw body. One JSON object a line in; `accepted`, `refused`
// or `throws` out.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";

function expected(secret, body) {
  return "sha256=" + createHmac("sha256", secret).update(body).digest("hex");
}

const verdicts = {
  // Both headers have to be strings; buffers of equal length are compared in constant time.
  quote3d({ secret, body, signature, event }) {
    if (typeof signature !== "string" || typeof event !== "string") return false;
    const [received, computed] = [signature, expected(secret, body)].map((text) => Buffer.from(text, "utf8"));
    return received.length === computed.length && timingSafeEqual(received, computed);
  },
  // A plain comparison of strings.
  nowtoprint({ secret, body, signature }) {
    return signature === expected(secret, body);
  },
  // An absent header counts as empty; a length that differs throws, which is no acceptance either.
  "3qpr"({ secret, body, signature }) {
    return timingSafeEqual(Buffer.from(signature || ""), Buffer.from(expected(secret, body)));
  },
};

const lines = readFileSync(0, "utf8").split("\n").filter(Boolean);
const answers = lines.map((line) => {
  const { provider, secret_base64, body_base64, signature, event } = JSON.parse(line);
  const [secret, body] = [secret_base64, body_base64].map((text) => Buffer.from(text, "base64"));
  try {
    return verdicts[provider]({ secret, body, signature, event }) ? "accepted" : "refused";
  } catch {
    return "throws";
  }
});
process.stdout.write(answers.join("\n") + "\n");
