"""An independent model of the schemes: declarations with deliveries, and the verdict on each.

`schemes.py SEED COUNT` writes COUNT lines, each a declaration (as JSON, with whether it makes sense) and deliveries that
are genuine, or spoiled in one part. The rules are written from the documentation alone, and share no code with the crate.
"""

import base64
import binascii
import datetime
import hashlib
import hmac
import json
import random
import re
import sys

HASHES = {"hmac-sha256": hashlib.sha256, "hmac-sha1": hashlib.sha1, "hmac-sha512": hashlib.sha512}
LENGTHS = {"hmac-sha256": 32, "hmac-sha1": 20, "hmac-sha512": 64}
DIGITS = {"s": 10, "ms": 13}


# The rules.


def parts_of(template):
    """The template's parts: ("L", text), ("T", None), ("H", name) and ("B", None), or None."""
    parts = []
    at = 0
    while at < len(template):
        if template.startswith("{{", at):
            kind, text, at = "L", "{", at + 2
        elif template[at] == "{":
            end = template.find("}", at)
            if end < 0:
                return None
            name = template[at + 1 : end]
            at = end + 1
            if name == "body":
                kind, text = "B", None
            elif name == "timestamp":
                kind, text = "T", None
            elif re.fullmatch(r"header:[A-Za-z0-9-]+", name):
                kind, text = "H", name[7:].lower()
            else:
                return None
        else:
            end = template.find("{", at)
            end = len(template) if end < 0 else end
            kind, text, at = "L", template[at:end], end
        if kind == "L" and parts and parts[-1][0] == "L":
            parts[-1] = ("L", parts[-1][1] + text)
        else:
            parts.append((kind, text))
    return parts


def is_injective(parts, is_object):
    """By the letters of the parts: what may stand on either side of the body."""
    letters = "".join(kind for kind, _ in parts)
    if letters.count("B") != 1 or letters.count("T") > 1:
        return False
    names = [name for kind, name in parts if kind == "H"]
    if len(set(names)) < len(names) or len(names) > 4:
        return False
    left, right = letters.split("B")
    left_parts, right_parts = parts[: len(left)], parts[len(left) + 1 :]
    closed_left = re.fullmatch(r"(?:L|T|HL)*", left)
    open_left = re.fullmatch(r"(?:L|T|HL)*H(?:TL?)?", left)
    closed_right = re.fullmatch(r"(?:L|T|LH)*", right)
    open_right = re.fullmatch(r"(?:H|TH|LTH)(?:L|T|LH)*", right)
    if closed_left and closed_right:
        return True
    if not is_object:
        return False
    if open_left and closed_right:
        return not (left_parts[-1][0] == "L" and left_parts[-1][1][-1] in " \t\r\n")
    if closed_left and open_right:
        return not (right_parts[0][0] == "L" and right_parts[0][1][0] in " \t\r\n")
    return False


def key_of(declaration, secret):
    encoding = declaration.get("secret", "text")
    if encoding == "text":
        return secret.encode()
    if encoding == "hex":
        return bytes.fromhex(secret)
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)


def encoded(declaration, tag):
    encoding = declaration["signature"].get("encoding", "hex")
    if encoding == "hex":
        return tag.hex()
    encode = base64.b64encode if encoding == "base64" else base64.urlsafe_b64encode
    return encode(tag).decode()


def tag_in(declaration, text):
    """The tag that a text is the only spelling of."""
    length = LENGTHS[declaration.get("algorithm", "hmac-sha256")]
    encoding = declaration["signature"].get("encoding", "hex")
    try:
        if encoding == "hex":
            tag = bytes.fromhex(text)
        elif encoding == "base64":
            tag = base64.b64decode(text, validate=True)
        else:
            tag = base64.b64decode(text.translate(str.maketrans("-_+/", "+/!!")), validate=True)
    except (ValueError, binascii.Error):
        return None
    return tag if len(tag) == length and encoded(declaration, tag) == text else None


def is_time(unit, text):
    if unit in DIGITS:
        return re.fullmatch(f"[0-9]{{{DIGITS[unit]}}}", text) is not None
    form = r"\d{4}-(0[1-9]|1[0-2])-([0-2]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"
    if re.fullmatch(form, text, re.ASCII) is None:
        return False
    try:
        datetime.date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def seconds_of(unit, text):
    if unit == "s":
        return int(text)
    if unit == "ms":
        return int(text) / 1000
    # The model writes whole seconds in UTC only.
    import calendar
    import time

    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def signed_bytes(parts, time, values, body):
    return b"".join(
        text.encode() if kind == "L" else time.encode() if kind == "T" else values[text].encode("latin-1") if kind == "H" else body
        for kind, text in parts
    )


def are_told_apart(parts, values):
    body = [kind for kind, _ in parts].index("B")
    for at, (kind, name) in enumerate(parts):
        if kind != "H":
            continue
        value = values[name]
        before = parts[at - 1] if at else (None, None)
        after = parts[at + 1] if at + 1 < len(parts) else (None, None)
        if value == "":
            return False
        if at < body and after[0] == "L":
            if (value + after[1]).find(after[1]) != len(value):
                return False
        elif at < body and after[0] == "B":
            if value[-1] in " \t\r\n":
                return False
        elif at > body and before[0] == "L":
            if (before[1] + value).rfind(before[1]) != 0:
                return False
        elif at > body and before[0] == "B" and value[0] in " \t\r\n":
            return False
    return True


def is_object(body):
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


def verdict(declaration, secrets, headers, body, now):
    signature = declaration["signature"]
    parts = parts_of(declaration.get("signed", "{body}"))
    names = signature["header"]
    names = [names] if isinstance(names, str) else names
    found = lambda name: [value for other, value in headers if other.lower() == name.lower()]
    values = []
    for name in names:
        occurrences = found(name)
        if len(occurrences) > 1:
            return "duplicate_signature", None
        values += occurrences
    if not values:
        return "missing_signature", None
    timestamp = declaration.get("timestamp")
    times, candidates = [], []
    for value in values:
        own = []
        if "field" in signature:
            items = value.split(signature["separator"])
            for item in items:
                key, equals, text = item.partition("=")
                if equals and key == signature["field"]:
                    own.append(tag_in(declaration, text))
                elif equals and timestamp and key == timestamp.get("field"):
                    times.append(text)
        elif "separator" in signature:
            each = signature["each"]
            items = value.split(signature["separator"])
            own = [tag_in(declaration, item[len(each) :]) for item in items if item.startswith(each)]
        else:
            prefix = signature.get("prefix", "")
            own = [tag_in(declaration, value[len(prefix) :])] if value.startswith(prefix) else []
        own = [tag for tag in own if tag is not None]
        if not own:
            return "malformed_signature", None
        candidates += own
    if len(candidates) > 16:
        return "malformed_signature", None
    if timestamp and "header" in timestamp:
        times = found(timestamp["header"])
        if len(times) > 1:
            return "duplicate_signature", None
    if timestamp and (len(times) != 1 or not is_time(timestamp.get("unit", "s"), times[0])):
        return "malformed_signature", None
    signed = {}
    for kind, name in parts:
        if kind == "H":
            occurrences = found(name)
            if len(occurrences) != 1:
                return ("duplicate_signature" if occurrences else "malformed_signature"), None
            signed[name] = occurrences[0]
    if not are_told_apart(parts, signed):
        return "malformed_signature", None
    message = signed_bytes(parts, times[0] if timestamp else "", signed, body)
    digest = HASHES[declaration.get("algorithm", "hmac-sha256")]
    for position, secret in enumerate(secrets):
        if hmac.new(key_of(declaration, secret), message, digest).digest() in candidates:
            break
    else:
        return "signature_mismatch", None
    if timestamp and "tolerance_s" in timestamp:
        if abs(now - seconds_of(timestamp.get("unit", "s"), times[0])) > timestamp["tolerance_s"]:
            return "stale", None
    if not is_injective(parts, False) and not is_object(body):
        return "malformed_payload", None
    return "accepted", position


# The declarations and the deliveries.


def a_secret(pick, declaration):
    key = bytes(pick.randrange(256) for _ in range(pick.choice([16, 24, 32, 70])))
    encoding = declaration.get("secret", "text")
    if encoding == "text":
        return key.hex()
    if encoding == "hex":
        return pick.choice([key.hex(), key.hex().upper()])
    return pick.choice(["", "whsec_"]) + base64.b64encode(key).decode()


def a_template(pick):
    literals = [".", ":", "|", "--", "v0:", "{{", " ", ";a"]
    if pick.random() < 0.5:
        return pick.choice(
            ["{body}", "{timestamp}.{body}", "v0:{timestamp}:{body}", "{header:x-id}.{timestamp}.{body}"]
            + ["{timestamp}{body}", "{body}{header:x-id}", "{header:x-id}{timestamp}{body}", "{body}.{timestamp}"]
            + ["https://example.org/{{a}?b=c{body}", "{header:X-Id}--{body}--{header:x-topic}"]
        )
    parts = ["{body}"] + pick.sample(["{timestamp}", "{header:x-id}", "{header:x-topic}"], pick.randrange(4))
    parts += [pick.choice(literals) for _ in range(pick.randrange(4))]
    pick.shuffle(parts)
    return "".join(parts)


def a_declaration(pick):
    declaration = {"name": pick.choice(["acme", "a-b_c.9", "x" * 32])}
    if pick.random() < 0.7:
        declaration["algorithm"] = pick.choice(list(HASHES))
    if pick.random() < 0.7:
        declaration["secret"] = pick.choice(["text", "hex", "base64"])
    encoding = pick.choice(["hex", "base64", "base64url"])
    signature = {"header": pick.choice(["x-signature", "X-Acme-Signature", ["x-signature"], ["x-one", "x-two"]])}
    if encoding != "hex" or pick.random() < 0.5:
        signature["encoding"] = encoding
    form = pick.choice(["prefix", "each", "field"])
    if form == "prefix" and pick.random() < 0.7:
        signature["prefix"] = pick.choice(["sha256=", "v0=", "", "HMAC "])
    if form == "each":
        signature.update(separator=pick.choice([" ", ",", ";", "|"]), each=pick.choice(["v1=", "v1:", "", "v1.", "v1-"]))
    if form == "field":
        signature.update(separator=pick.choice([",", ";", " ", "|"]), field=pick.choice(["v1", "h1", "s"]))
    declaration["signature"] = signature
    template = a_template(pick)
    if template != "{body}" or pick.random() < 0.5:
        declaration["signed"] = template
    if "{timestamp}" in template:
        time = {"field": "t"} if form == "field" and pick.random() < 0.7 else {"header": "x-time"}
        unit = pick.choice(["s", "ms", "rfc3339"])
        if unit != "s" or pick.random() < 0.5:
            time["unit"] = unit
        if pick.random() < 0.7:
            time["tolerance_s"] = pick.choice([0, 1, 300])
        declaration["timestamp"] = time
    if pick.random() < 0.3:
        declaration["event"] = None
    return declaration


def makes_sense(declaration):
    parts = parts_of(declaration.get("signed", "{body}"))
    return parts is not None and is_injective(parts, declaration.get("event", {}) is not None)


def written_time(unit, seconds):
    if unit == "s":
        return f"{seconds:010}"
    if unit == "ms":
        return f"{seconds * 1000:013}"
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def a_delivery(pick, declaration, secrets):
    """One that is genuine, with its time and its tag apart."""
    signature = declaration["signature"]
    parts = parts_of(declaration.get("signed", "{body}"))
    now = pick.randrange(1_500_000_000, 1_900_000_000)
    timestamp = declaration.get("timestamp")
    time = written_time(timestamp.get("unit", "s"), now) if timestamp else ""
    values = {name: pick.choice(["msg_1", "a", "evt_0123456789"]) for kind, name in parts if kind == "H"}
    body = json.dumps({"event": "a.b", "id": pick.choice(["evt_1", "evt_2"]), "data": {"n": pick.randrange(9)}}).encode()
    if declaration.get("event", {}) is None and pick.random() < 0.7:
        body = bytes(pick.randrange(256) for _ in range(pick.randrange(80)))
    elif pick.random() < 0.2:
        body = b" \n" + body + b"\t "
    elif not is_injective(parts, False) and pick.random() < 0.2:
        # Signed, and no object: a part of it may be the value's beside it.
        body = pick.choice([b"1111111111" + body, body + b"a", b""])
    message = signed_bytes(parts, time, values, body)
    digest = HASHES[declaration.get("algorithm", "hmac-sha256")]
    tag = hmac.new(key_of(declaration, pick.choice(secrets)), message, digest).digest()
    return {"now": now, "time": time, "values": values, "body": body, "tags": [encoded(declaration, tag)]}


def headers_of(declaration, delivery):
    signature, timestamp = declaration["signature"], declaration.get("timestamp")
    name = signature["header"] if isinstance(signature["header"], str) else signature["header"][0]
    tags = delivery["tags"]
    if "field" in signature:
        items = [f"{signature['field']}={tag}" for tag in tags]
        if timestamp and "field" in timestamp:
            items.insert(0, f"{timestamp['field']}={delivery['time']}")
        value = signature["separator"].join(items)
    elif "separator" in signature:
        value = signature["separator"].join(signature["each"] + tag for tag in tags)
    else:
        value = signature.get("prefix", "") + tags[0]
    headers = [[name, value]]
    if timestamp and "header" in timestamp:
        headers.append([timestamp["header"], delivery["time"]])
    return headers + [[name, value] for name, value in delivery["values"].items()]


def spoiled(pick, declaration, delivery):
    """The delivery with one thing changed, as headers, body and time of arrival."""
    headers, body, now = headers_of(declaration, delivery), delivery["body"], delivery["now"]
    signature = declaration["signature"]
    separator = signature.get("separator")
    item = (signature["field"] + "=") if "field" in signature else signature.get("each", signature.get("prefix", ""))
    tag = delivery["tags"][0]
    other = encoded(declaration, bytes(LENGTHS[declaration.get("algorithm", "hmac-sha256")]))
    at = pick.randrange(len(headers))
    kind = pick.randrange(20)
    if kind == 0:
        body = body + b" "
    elif kind == 1 and body:
        place = pick.randrange(len(body))
        body = body[:place] + bytes([body[place] ^ 1 << pick.randrange(8)]) + body[place + 1 :]
    elif kind == 2:
        del headers[at]
    elif kind == 3:
        headers.insert(pick.randrange(len(headers) + 1), list(headers[at]))
    elif kind == 4:
        headers[at][1] = pick.choice([" ", "", "x"]) + headers[at][1] + pick.choice([" ", "", "=", "\u00ff"])
    elif kind == 5:
        place = pick.randrange(len(headers[at][1]))
        value = headers[at][1]
        headers[at][1] = value[:place] + chr(ord(value[place]) ^ 1 << pick.randrange(7)) + value[place + 1 :]
    elif kind == 6:
        headers[at][1] = headers[at][1][: pick.randrange(len(headers[at][1]))]
    elif kind == 7:
        headers[0][1] = headers[0][1].replace(tag, tag.upper())
    elif kind == 8:
        headers[0][1] = headers[0][1].replace(tag, tag.translate(str.maketrans("+/-_", "-_+/")))
    elif kind == 9:
        headers[0][1] = headers[0][1].replace(tag, tag.rstrip("="))
    elif kind == 10 and separator:
        count = pick.choice([14, 15, 16])
        items = [item + other] * count
        items.insert(pick.randrange(count + 1), headers[0][1])
        headers[0][1] = separator.join(items)
    elif kind == 11 and separator:
        foreign = pick.choice(["v2=", "v1a,", "x", "v0:", "=", "", "t2="]) + pick.choice([tag, other, ""])
        items = [foreign] * pick.choice([1, 20])
        items.insert(pick.randrange(len(items) + 1), headers[0][1])
        headers[0][1] = separator.join(items)
    elif kind == 12:
        now += pick.choice([-301, -300, -2, -1, 1, 2, 300, 301, 10_000])
    elif kind == 13 and len(headers) > 1:
        at = pick.randrange(1, len(headers))
        headers[at][1] = pick.choice([".", "--", ":", "", " a", "a ", "a.b", "-", "msg--1", "+614265330", "161426533"])
    elif kind == 14 and not isinstance(signature["header"], str) and len(signature["header"]) > 1:
        headers.append([signature["header"][1], pick.choice([headers[0][1], "x", item + other])])
    elif kind == 15:
        headers[at][0] = pick.choice([headers[at][0].upper(), "x-other", headers[at][0].title()])
    elif kind == 16 and separator:
        headers[0][1] = pick.choice([separator, "", headers[0][1] + separator, separator + headers[0][1], item])
    elif kind == 17 and separator:
        headers[0][1] = headers[0][1] + separator + "t=" + delivery["time"]
    elif kind == 18:
        headers.append(["x-unrelated", tag])
    return headers, body, now


def line(pick):
    declaration = a_declaration(pick)
    answer = {"declaration": declaration, "makes_sense": makes_sense(declaration), "deliveries": []}
    if answer["makes_sense"]:
        secrets = [a_secret(pick, declaration) for _ in range(pick.choice([1, 1, 2, 3]))]
        answer["secrets"] = secrets
        delivery = a_delivery(pick, declaration, secrets)
        cases = [(headers_of(declaration, delivery), delivery["body"], delivery["now"])]
        cases += [spoiled(pick, declaration, delivery) for _ in range(9)]
        for headers, body, now in cases:
            code, secret = verdict(declaration, secrets, headers, body, now)
            answer["deliveries"].append(
                {
                    "headers": headers,
                    "body_base64": base64.b64encode(body).decode(),
                    "now": now,
                    "code": code,
                    "secret": secret,
                }
            )
    return json.dumps(answer)


def main():
    pick = random.Random(int(sys.argv[1]))
    for _ in range(int(sys.argv[2])):
        print(line(pick))


if __name__ == "__main__":
    main()
