"""A delivery in a line of JSON, and then, for each line with a number, verified so often; the answer is
how many nanoseconds that took. The comparison is 3QPR's, as its page describes it for Python, with each
of the secrets in turn; what is accepted is parsed."""

import base64
import hashlib
import hmac
import json
import sys
import time


def verdict(secret, body, signature):
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest("sha256=" + digest, signature)


def main():
    delivery = json.loads(sys.stdin.readline())
    body = base64.b64decode(delivery["body_base64"])
    secrets = [secret.encode() for secret in delivery["secrets"]]
    signature, is_accepted = delivery["signature"], delivery["is_accepted"]
    for line in iter(sys.stdin.readline, ""):
        start = time.perf_counter_ns()
        for _ in range(int(line)):
            accepted = any(verdict(secret, body, signature) for secret in secrets)
            if accepted is not is_accepted:
                raise ValueError("another verdict")
            if accepted:
                json.loads(body)["event"]
        print(time.perf_counter_ns() - start, flush=True)


main()
