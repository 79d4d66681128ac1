"""The comparison in Python, as 3QPR's page describes it: the whole header value against `sha256=` and
the hex HMAC-SHA256 of the raw body. One JSON object a line in, `true` or `false` out."""

import base64
import hashlib
import hmac
import json
import sys


def verdict(secret, body, signature):
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    try:
        return hmac.compare_digest("sha256=" + digest, signature)
    except TypeError:  # an absent header, or text beyond ASCII: no acceptance either
        return False


for line in sys.stdin:
    case = json.loads(line)
    accepted = verdict(case["secret"], base64.b64decode(case["body_base64"]), case["signature"])
    print("true" if accepted else "false")
