"""The SDKs from PyPI, as a process: a question a line in, an answer a line out.

A delivery's headers arrive as a WSGI server shows them: a header that is repeated is joined by ",".
"""

import json
import sys
from datetime import datetime, timezone
from importlib.metadata import version

import standardwebhooks
import stripe
import svix.webhooks
from slack_sdk.signature import SignatureVerifier
from square.utils.webhooks_helper import verify_signature


def must(answer):
    if answer is not True:
        raise ValueError("refused")


def standard(webhook, family):
    def sign(secret, body, id, time, **_):
        at = datetime.fromtimestamp(time, tz=timezone.utc)
        signature = webhook(secret).sign(id, at, body)
        return {f"{family}-id": id, f"{family}-timestamp": str(time), f"{family}-signature": signature}

    def verify(secret, body, headers, **_):
        webhook(secret).verify(body, headers)

    return {"sign": sign, "verify": verify}


SDKS = {
    "standardwebhooks": standard(standardwebhooks.Webhook, "webhook"),
    "svix": standard(svix.webhooks.Webhook, "svix"),
    "stripe": {
        "sign": lambda secret, body, time, **_: {
            "stripe-signature": stripe.WebhookSignature.generate_signature_header(body, secret, time)
        },
        "verify": lambda secret, body, headers, **_: stripe.WebhookSignature.verify_header(
            body, headers.get("stripe-signature"), secret, stripe.Webhook.DEFAULT_TOLERANCE
        ),
    },
    "slack_sdk": {
        "sign": lambda secret, body, time, **_: {
            "x-slack-request-timestamp": str(time),
            "x-slack-signature": SignatureVerifier(secret).generate_signature(timestamp=str(time), body=body),
        },
        "verify": lambda secret, body, headers, **_: must(
            SignatureVerifier(secret).is_valid_request(body, headers)
        ),
    },
    "squareup": {
        "verify": lambda secret, body, headers, url, **_: must(
            verify_signature(
                request_body=body,
                signature_header=headers["x-square-hmacsha256-signature"],
                signature_key=secret,
                notification_url=url,
            )
        ),
    },
}


def answer(sdk, op, headers=(), **question):
    if op == "version":
        return {"version": version(sdk)}
    joined = {}
    for name, value in headers:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    if op == "sign":
        return {"headers": SDKS[sdk]["sign"](**question)}
    try:
        SDKS[sdk]["verify"](headers=joined, **question)
        return {"accepted": True}
    except Exception as error:  # whatever an SDK raises is its refusal
        return {"accepted": False, "why": f"{type(error).__name__}: {error}"[:200]}


for line in sys.stdin:
    print(json.dumps(answer(**json.loads(line))), flush=True)
