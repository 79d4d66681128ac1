"""Writes the vectors in tests/data/vectors: `python3 tests/oracle/vectors.py`.

Each verdict is the model's (`schemes.py`). Each published vector is written as its source has it, and must be accepted.
"""

import base64
import copy
import datetime
import hashlib
import json
import pathlib

import schemes

FOLDER = pathlib.Path(__file__).parent.parent / "data" / "vectors"
SLACK_BODY = (
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    "&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    "&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    "&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SECRET = "It's a Secret to Everybody"
EVENT_PARTS = {"name": "event", "id": "id", "timestamp": "timestamp", "data": "data"}


def standard(family):
    return {
        "name": "standard-webhooks",
        "secret": "base64",
        "signature": {"header": f"{family}-signature", "encoding": "base64", "separator": " ", "each": "v1,"},
        "signed": f"{{header:{family}-id}}.{{timestamp}}.{{body}}",
        "timestamp": {"header": f"{family}-timestamp", "unit": "s", "tolerance_s": 300},
        "event": {"name": None, "id": {"header": f"{family}-id"}},
    }


def unsigned(name, header, signature):
    event = {"name": {"header": header}, "id": None, "timestamp": None, "data": None}
    return {"name": name, "signature": signature, "event": event}


FILES = {
    "hub": {
        "source": "the scheme of WebSub, by which GitHub, Jira, Bitbucket and many more sign",
        "declaration": {"name": "hub", "signature": {"header": "X-Hub-Signature-256", "prefix": "sha256="}, "event": None},
        "secrets": [SECRET],
        "body": "Hello, World!",
        "published": [
            {
                "about": "GitHub, \"Validating webhook deliveries\"",
                "headers": [["X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"]],
            },
            {
                "about": "Jira and Bitbucket, their pages on webhooks",
                "headers": [["X-Hub-Signature-256", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"]],
                "body": "Hello World!",
            },
        ],
    },
    "standard-webhooks": {
        "source": "https://www.standardwebhooks.com",
        "declaration": standard("webhook"),
        "secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "body": '{"test": 2432232314}',
        "published": [
            {
                "about": "the test of Standard Webhooks' library for Go",
                "headers": [
                    ["webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
                    ["webhook-timestamp", "1614265330"],
                    ["webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"],
                ],
                "now": 1614265330,
            }
        ],
    },
    "svix": {
        "source": "https://docs.svix.com/receiving/verifying-payloads/how-manual",
        "declaration": standard("svix"),
        "secrets": ["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
        "body": '{"email":"test@example.com","username":"test_user"}',
        "published": [
            {
                "about": "the test of Svix's library for Rust",
                "headers": [
                    ["svix-signature", "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="],
                    ["svix-timestamp", "1649367553"],
                    ["svix-id", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"],
                ],
                "now": 1649367553,
            }
        ],
    },
    "slack": {
        "source": "https://api.slack.com/authentication/verifying-requests-from-slack",
        "declaration": {
            "name": "slack",
            "signature": {"header": "X-Slack-Signature", "prefix": "v0="},
            "signed": "v0:{timestamp}:{body}",
            "timestamp": {"header": "X-Slack-Request-Timestamp", "tolerance_s": 300},
            "event": None,
        },
        "secrets": ["8f742231b10e8888abcd99yyyzzz85a5"],
        "body": SLACK_BODY,
        "published": [
            {
                "about": "Slack, \"Verifying requests from Slack\"",
                "headers": [
                    ["X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"],
                    ["X-Slack-Request-Timestamp", "1531420618"],
                ],
                "now": 1531420618,
            }
        ],
    },
    "stripe": {
        "source": "https://docs.stripe.com/webhooks",
        "declaration": {
            "name": "stripe",
            "signature": {"header": "Stripe-Signature", "separator": ",", "field": "v1"},
            "signed": "{timestamp}.{body}",
            "timestamp": {"field": "t", "tolerance_s": 300},
            "event": {"name": "type", "timestamp": "created"},
        },
        "secrets": ["whsec_0123456789abcdefghijklmnopqrstuv"],
        "body": '{"id":"evt_1","object":"event","type":"charge.failed","created":1614265330,"data":{"object":{"id":"ch_1"}}}',
    },
    "github": {
        "source": "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
        "declaration": unsigned("github", "X-GitHub-Event", {"header": "X-Hub-Signature-256", "prefix": "sha256="}),
        "secrets": [SECRET],
        "body": '{"ref":"refs/heads/main","repository":{"id":1}}',
        "more": [["X-GitHub-Event", "push"]],
    },
    "shopify": {
        "source": "https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
        "declaration": unsigned("shopify", "X-Shopify-Topic", {"header": "X-Shopify-Hmac-SHA256", "encoding": "base64"}),
        "secrets": ["the-client-secret-of-the-app"],
        "body": '{"id":820982911946154508,"email":"jon@example.com"}',
        "more": [["X-Shopify-Topic", "orders/paid"]],
    },
    "zoom": {
        "source": "https://developers.zoom.us/docs/api/webhooks/",
        "declaration": {
            "name": "zoom",
            "signature": {"header": "x-zm-signature", "prefix": "v0="},
            "signed": "v0:{timestamp}:{body}",
            "timestamp": {"header": "x-zm-request-timestamp"},
            "event": {"id": None, "timestamp": "event_ts", "data": "payload"},
        },
        "secrets": ["the-secret-token-of-the-app"],
        "body": '{"event":"meeting.started","event_ts":1626230691572,"payload":{"account_id":"a"}}',
    },
    "paddle": {
        "source": "https://developer.paddle.com/webhooks/signature-verification",
        "declaration": {
            "name": "paddle",
            "signature": {"header": "Paddle-Signature", "separator": ";", "field": "h1"},
            "signed": "{timestamp}:{body}",
            "timestamp": {"field": "ts", "tolerance_s": 300},
            "event": {"name": "event_type", "id": "event_id", "timestamp": "occurred_at"},
        },
        "secrets": ["pdl_ntfset_0123456789abcdef"],
        "body": '{"event_id":"evt_1","event_type":"transaction.paid","occurred_at":"2026-03-10T14:30:00Z","data":{}}',
    },
    "linear": {
        "source": "https://linear.app/developers/webhooks",
        "declaration": {
            "name": "linear",
            "signature": {"header": "Linear-Signature"},
            "event": {"name": "type", "id": None, "timestamp": "webhookTimestamp"},
        },
        "secrets": ["lin_wh_0123456789abcdef"],
        "body": '{"action":"create","type":"Issue","data":{"id":"i"},"webhookTimestamp":1676056940508}',
    },
    "square": {
        "source": "https://developer.squareup.com/docs/webhooks/step3validate",
        "declaration": {
            "name": "square",
            "signature": {"header": "x-square-hmacsha256-signature", "encoding": "base64"},
            "signed": "https://example.org/webhooks/square?a={{b}{body}",
            "event": {"name": "type", "id": "event_id", "timestamp": "created_at"},
        },
        "secrets": ["the-signature-key-of-square"],
        "body": '{"merchant_id":"m","type":"payment.created","event_id":"e_1","created_at":"2026-03-10T14:30:00Z","data":{}}',
    },
    "hmac-sha1": {
        "source": "made for this project: SHA-1, a hex key and a base64url tag after the body",
        "declaration": {
            "name": "sha1",
            "algorithm": "hmac-sha1",
            "secret": "hex",
            "signature": {"header": ["X-One", "X-Two"], "encoding": "base64url"},
            "signed": "{body}.{header:x-id}",
        },
        "secrets": ["000102030405060708090a0b0c0d0e0f10111213"],
        "body": '{"event":"a","id":"evt_1"}',
    },
    "hmac-sha512": {
        "source": "made for this project: SHA-512, and a time in milliseconds beside the body",
        "declaration": {
            "name": "sha512",
            "algorithm": "hmac-sha512",
            "secret": "base64",
            "signature": {"header": "x-signature"},
            "signed": "{header:x-id}{timestamp}{body}",
            "timestamp": {"header": "x-time", "unit": "ms", "tolerance_s": 1},
        },
        "secrets": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
        "body": '{"event":"a","id":"evt_1"}',
    },
}


def key_of(declaration, headers, body):
    """The idempotency key, by the rules of the documentation."""
    name = declaration["name"]
    parts = declaration.get("event", EVENT_PARTS)
    if parts is None:
        return f"{name}:sha256:{hashlib.sha256(body).hexdigest()}"
    parts = {**EVENT_PARTS, **parts}
    of = lambda header: next(value for other, value in headers if other.lower() == header.lower())
    place = parts["id"]
    id = of(place["header"]) if isinstance(place, dict) else json.loads(body).get(place) if place else None
    if id is not None:
        return f"{name}:{id}"
    if isinstance(parts["name"], dict):
        body = of(parts["name"]["header"]).encode() + b"\0" + body
    return f"{name}:sha256:{hashlib.sha256(body).hexdigest()}"


def case(file, about, headers, body, now, secrets=None, is_published=False):
    declaration, secrets = file["declaration"], secrets or file["secrets"]
    code, _ = schemes.verdict(declaration, secrets, headers, body, now)
    written = {"about": about}
    if is_published:
        written["is_published"] = True
        assert code == "accepted", (about, code)
    written |= {"secrets": secrets, "headers": headers}
    try:
        written["body"] = body.decode()
    except UnicodeDecodeError:
        written["body_base64"] = base64.b64encode(body).decode()
    written["now"] = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    written["verdict"] = code
    if code == "accepted":
        written["idempotency_key"] = key_of(declaration, headers, body)
    return written


def cases_of(file):
    declaration = file["declaration"]
    parts, timestamp = schemes.parts_of(declaration.get("signed", "{body}")), declaration.get("timestamp")
    body, now, more = file["body"].encode(), 1_773_153_000, file.get("more", [])
    digest = schemes.HASHES[declaration.get("algorithm", "hmac-sha256")]
    delivery = {
        "time": schemes.written_time(timestamp.get("unit", "s"), now) if timestamp else "",
        "values": {name: "msg_1" for kind, name in parts if kind == "H"},
    }

    def signed_with(secret, content=body):
        message = schemes.signed_bytes(parts, delivery["time"], delivery["values"], content)
        return schemes.encoded(declaration, schemes.hmac.new(schemes.key_of(declaration, secret), message, digest).digest())

    def headers(tags):
        return schemes.headers_of(declaration, {**delivery, "tags": tags}) + copy.deepcopy(more)

    secret = file["secrets"][0]
    right, other = signed_with(secret), schemes.encoded(declaration, bytes(digest().digest_size))
    genuine = headers([right])
    older = "another-secret-of-the-years-before"
    older = {"hex": older.encode().hex(), "base64": base64.b64encode(older.encode()).decode()}.get(
        declaration.get("secret", "text"), older
    )
    cases = [
        case(file, published["about"], published["headers"], published.get("body", file["body"]).encode(), published.get("now", now), is_published=True)
        for published in file.get("published", [])
    ]
    add = lambda *arguments, **more: cases.append(case(file, *arguments, **more))
    add("a genuine delivery", genuine, body, now)
    add("two secrets, of which the older one signed", genuine, body, now, secrets=[older, secret])
    add("another secret", genuine, body, now, secrets=[older])
    add("another body", genuine, body + b" ", now)
    add("an empty body", genuine, b"", now)
    add("the tag of the body alone, or with another time", headers([signed_with(secret, body + b"x")]), body, now)
    add("a tag of zeros", headers([other]), body, now)

    def with_value(about, value):
        changed = copy.deepcopy(genuine)
        changed[0][1] = value
        add(about, changed, body, now)

    value = genuine[0][1]
    with_value("an empty signature", "")
    with_value("white space before the signature", " " + value)
    with_value("white space after the signature", value + " ")
    with_value("a tag that is cut off", value[:-1])
    with_value("a tag that goes on", value + "0")
    with_value("a tag in upper case", value.replace(right, right.upper()))
    with_value("a tag in hex, base64 or base64url where another is right", value.replace(right, base64.b64encode(right.encode()).decode()))
    with_value("a tag without what stands before it, or with more", value.replace(right, "0" + right))
    with_value("a tag twice", value.replace(right, right + right))
    for at, (name, _) in enumerate(genuine):
        if name in [other for other, _ in more]:
            continue
        add(f"{name} is absent", genuine[:at] + genuine[at + 1 :], body, now)
        add(f"{name} occurs twice", genuine + [genuine[at]], body, now)
    add("names of headers in other cases", [[name.upper(), value] for name, value in genuine], body, now)
    signature = declaration["signature"]
    if "separator" in signature:
        separator, each = signature["separator"], signature.get("each", signature.get("field", "") + "=")
        joined = lambda *items: separator.join(items)
        with_value("16 candidates, of which the last is right", joined(*[each + other] * 15, value))
        with_value("17 candidates", joined(*[each + other] * 16, value))
        with_value("items of other versions before and after", joined("v9" + each, "x", value, "v2=" + right))
        with_value("only an item of another version", value.replace(each + right, "v9" + each + right))
        with_value("an empty item", separator + value)
        with_value("1,000 items of another version and the right one", joined(*["v9"] * 1000, value))
    if timestamp:
        tolerance = timestamp.get("tolerance_s")
        for seconds in [-1, 0, 1] if tolerance else []:
            add(f"{tolerance + seconds} seconds old", genuine, body, now + tolerance + seconds)
            add(f"{tolerance + seconds} seconds in the future", genuine, body, now - tolerance - seconds)
        for text in ["", "1", "+" + delivery["time"][1:], delivery["time"] + "0", delivery["time"][:-1], "18446744073709551616"]:
            changed = [[name, value.replace(delivery["time"], text)] for name, value in genuine]
            add(f"the time is {text!r}", changed, body, now)
    return cases


def main():
    FOLDER.mkdir(exist_ok=True)
    for scheme, file in FILES.items():
        cases = ",\n    ".join(json.dumps(case) for case in cases_of(file))
        text = f'{{\n  "scheme": {json.dumps(scheme)},\n  "source": {json.dumps(file["source"])},\n'
        text += f'  "declaration": {json.dumps(file["declaration"])},\n  "cases": [\n    {cases}\n  ]\n}}\n'
        (FOLDER / f"{scheme.replace('-', '_')}.json").write_text(text)


if __name__ == "__main__":
    main()
