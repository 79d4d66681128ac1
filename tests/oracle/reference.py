"""The comparison in Python, as 3QPR's page describes it: the whole header value against `sha256=` and
the hex HMAC-SHA256 of the raw body. One JSON object a line in; `accepted`, `refused` or `throws` out."""

import base64
import hashlib
import hmac
import json
import sys


def verdict(secret, body, signature):
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest("sha256=" + digest, signature)


for line in sys.stdin:
    case = json.loads(line)
    secret, body = (base64.b64decode(case[field]) for field in ("secret_base64", "body_base64"))
    try:
        print("accepted" if verdict(secret, body, case["signature"]) else "refused")
    except TypeError:  # an absent header, or text beyond ASCII: no acceptance either
        print("throws")
