//! Deliveries that are not as a provider sends them, and what each SDK says of them. `README.md` lists every verdict that
//! differs from this crate's, so that a change is noticed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};

use crate::agreement::families;
use crate::maker::{Maker, Sent, tag};
use crate::ours::ours;
use crate::sdks::{SDKS, Sdk, parsed};

/// A case: its name, its delivery if the provider's form has it, and why the verdicts may differ.
struct Case {
    name: &'static str,
    make: fn(&Maker) -> Option<Sent>,
    why: &'static str,
}

const AS_TEXT: &str = "the SDK compares with what it reads, which other texts spell too";
const TIME: &str = "the SDK hashes the number that it read, not the text; a text of one form is what makes the signed bytes unambiguous";

const CASES: &[Case] = &[
    Case { name: "as it should be", make: |it| it.with_tag(&it.tag()), why: "" },
    Case {
        name: "upper-case hex",
        make: |it| if it.form.is_base64 { None } else { it.with_tag(&it.tag().to_uppercase()) },
        why: AS_TEXT,
    },
    Case {
        name: "base64 without its padding",
        make: |it| if it.form.is_base64 { it.with_tag(it.tag().trim_end_matches('=')) } else { None },
        why: AS_TEXT,
    },
    Case {
        name: "base64url",
        make: |it| {
            if it.form.is_base64 { it.with_tag(&it.tag().replace('+', "-").replace('/', "_")) } else { None }
        },
        why: AS_TEXT,
    },
    Case {
        name: "base64 with stray bits",
        make: |it| {
            let tag = it.form.is_base64.then(|| it.tag())?;
            let mut bytes = tag.into_bytes();
            bytes[42] = match bytes[42] {
                b'8' => b'9',
                b'4' => b'5',
                b'0' => b'1',
                letter => letter + 1,
            };
            it.with_tag(&String::from_utf8(bytes).unwrap())
        },
        why: "Python's decoder ignores the two bits that no byte holds",
    },
    Case {
        name: "base64 with a character of no alphabet",
        make: |it| {
            it.form
                .is_base64
                .then(|| it.tag())
                .and_then(|tag| it.with_tag(&format!("{}*{}", &tag[..9], &tag[9..])))
        },
        why: "Python's decoder skips characters of no alphabet",
    },
    Case {
        name: "a tag that is a byte short",
        make: |it| it.with_tag(&it.text(&tag(it.provider, &it.secret, &it.now.to_string(), &it.body)[..31])),
        why: AS_TEXT,
    },
    Case {
        name: "a tag with a byte more",
        make: |it| {
            let tag = tag(it.provider, &it.secret, &it.now.to_string(), &it.body);
            it.with_tag(&it.text(&[&tag[..], &[0]].concat()))
        },
        why: AS_TEXT,
    },
    Case {
        name: "an empty signature header",
        make: |it| Some(it.with(&it.now.to_string(), "", it.body.clone())),
        why: "",
    },
    Case {
        name: "the signature header twice",
        make: |it| {
            let mut sent = it.with_tag(&it.tag())?;
            let value = it.signature(&sent);
            sent.headers.append(parsed(it.form.signature), value);
            Some(sent)
        },
        why: "the server joins the two by a comma, or the SDK reads the first; a proxy might read another",
    },
    Case {
        name: "the time header twice",
        make: |it| {
            let mut sent = it.with_tag(&it.tag())?;
            let name = parsed(it.form.time?);
            let value = sent.headers[&name].clone();
            sent.headers.append(name, value);
            Some(sent)
        },
        why: "the SDK reads the first, or the number before the comma",
    },
    Case {
        name: "two times in the signature header",
        make: |it| {
            let sent = it.with_tag(&it.tag())?;
            let field = Some(it.form.field()).filter(|field| !field.is_empty())?;
            let value =
                format!("{field}1614265330{}{}", it.form.separator?, it.signature(&sent).to_str().unwrap());
            Some(it.with("", &value, it.body.clone()))
        },
        why: "the SDK reads the last; another reads the first",
    },
    Case {
        name: "a time with a sign",
        make: |it| it.at(&format!("+{}", it.now), &it.now.to_string()),
        why: TIME,
    },
    Case {
        name: "a time after a space",
        make: |it| it.at(&format!(" {}", it.now), &it.now.to_string()),
        why: TIME,
    },
    Case {
        name: "a time with a leading zero",
        make: |it| it.at(&format!("0{}", it.now), &it.now.to_string()),
        why: TIME,
    },
    Case {
        name: "a time with a fraction",
        make: |it| it.at(&format!("{}.5", it.now), &it.now.to_string()),
        why: TIME,
    },
    Case {
        name: "a time before letters",
        make: |it| it.at(&format!("{}abc", it.now), &it.now.to_string()),
        why: TIME,
    },
    Case {
        name: "a time with a sign, signed with it",
        make: |it| it.at(&format!("+{}", it.now), &format!("+{}", it.now)),
        why: "the text is signed; this crate takes ten digits only, so that a time may stand beside anything",
    },
    Case {
        name: "a time 4 minutes ago",
        make: |it| it.at(&(it.now - 240).to_string(), &(it.now - 240).to_string()),
        why: "Paddle's SDK takes 5 seconds, and a queue before a receiver takes longer",
    },
    Case {
        name: "a time 10 minutes ago",
        make: |it| it.at(&(it.now - 600).to_string(), &(it.now - 600).to_string()),
        why: "",
    },
    Case {
        name: "a time in 10 minutes",
        make: |it| it.at(&(it.now + 600).to_string(), &(it.now + 600).to_string()),
        why: "the SDK does not judge the future",
    },
    Case {
        name: "17 candidates, the right one last",
        make: |it| it.among(&vec![it.wrong(it.form.before); 16], &[]),
        why: "the SDK has no limit",
    },
    Case {
        name: "16 candidates, the right one last",
        make: |it| it.among(&vec![it.wrong(it.form.before); 15], &[]),
        why: "",
    },
    Case {
        name: "a wrong candidate after the right one",
        make: |it| it.among(&[], &[it.wrong(it.form.before)]),
        why: "Paddle's SDK reads the last `h1`; its documentation has one for each secret of a rotation",
    },
    Case {
        name: "foreign versions before and after",
        make: |it| it.among(&[it.wrong(it.form.foreign)], &[it.wrong(it.form.foreign)]),
        why: "",
    },
    Case {
        name: "a foreign version alone",
        make: |it| it.with_items(&[format!("{}{}", it.form.foreign, it.tag())]),
        why: "",
    },
    Case {
        name: "an item without a version",
        make: |it| it.among(&["junk".to_owned()], &[]),
        why: "the SDK fails on an item that it cannot split; this crate skips it, as a foreign version",
    },
    Case {
        name: "an empty item",
        make: |it| it.among(&[], &[String::new()]),
        why: "the SDK fails on an item that it cannot split; this crate skips it, as a foreign version",
    },
    Case {
        name: "an id with a full stop",
        make: |it| {
            let mut sent = it.with_tag(&it.tag())?;
            let id = sent.headers.get_mut("webhook-id")?;
            *id = HeaderValue::from_static("msg.1");
            let signed = format!("msg.1.{}.{}", it.now, it.body);
            let key = STANDARD.decode(it.secret.trim_start_matches("whsec_")).unwrap();
            let mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap().chain_update(signed).finalize();
            let value = format!("v1,{}", STANDARD.encode(mac.into_bytes()));
            sent.headers.insert("webhook-signature", value.parse().unwrap());
            Some(sent)
        },
        why: "the full stop ends the id in the signed bytes",
    },
    Case {
        name: "a body of no bytes",
        make: |it| {
            let tag = it.text(&tag(it.provider, &it.secret, &it.now.to_string(), ""));
            it.with_tag(&tag).map(|sent| Sent { body: String::new(), ..sent })
        },
        why: "the SDK wants a body; here `verify` refuses it as `malformed_payload`, except under Slack, whose bodies are opaque",
    },
    Case {
        name: "a body whose own time is 10 minutes ago",
        make: |it| {
            let (time, earlier) = (format!("{}000}}", it.now), format!("{}000}}", it.now - 600));
            let body = it.body.contains("webhookTimestamp").then(|| it.body.replace(&time, &earlier))?;
            let tag = it.text(&tag(it.provider, &it.secret, "", &body));
            it.with_tag(&tag).map(|sent| Sent { body, ..sent })
        },
        why: "the SDK takes one minute; here `Webhook::with_max_age` sets a limit",
    },
    Case {
        name: "headers that begin with `shopify-`",
        make: |it| {
            let mut sent = it.with_tag(&it.tag())?;
            let value = sent.headers.remove("x-shopify-hmac-sha256")?;
            sent.headers.insert("shopify-hmac-sha256", value);
            Some(sent)
        },
        why: "the SDK also reads the deliveries of Shopify's newer events; this built-in has the headers `x-shopify-` only",
    },
    Case {
        name: "a body that was written anew",
        make: |it| {
            let body = it.body.replacen(':', ": ", 1);
            it.with_tag(&it.tag()).map(|sent| Sent { body, ..sent })
        },
        why: "Zoom's documentation hashes the body after it was parsed and written again",
    },
    Case {
        name: "a signed body with spaces",
        make: |it| {
            let body = it.body.replacen(':', ": ", 1);
            let tag = it.text(&tag(it.provider, &it.secret, &it.now.to_string(), &body));
            it.with_tag(&tag).and_then(|sent| {
                let value = it.signature(&sent);
                Some(it.with(&it.now.to_string(), value.to_str().ok()?, body))
            })
        },
        why: "Zoom's documentation hashes the body after it was parsed and written again",
    },
];

/// The rows of the table: each SDK's verdict that differs from this crate's.
pub fn differences() -> Vec<String> {
    let mut rows = Vec::new();
    for case in CASES {
        let mut groups: Vec<(&str, String, &str, Vec<String>)> = Vec::new();
        for sdk in &SDKS {
            let maker = Maker::new(sdk.provider);
            let Some(Sent { body, headers }) = (case.make)(&maker) else { continue };
            let ours = ours(sdk.provider, &maker.secret).proves(&headers, &body);
            let code = ours.as_ref().err().map_or("accepted", |error| error.code());
            let theirs = verdict(sdk, &maker.secret, headers, &body);
            if ours.is_ok() != theirs {
                let theirs = if theirs { "accepted" } else { "refused" };
                match groups.iter_mut().find(|group| group.0 == sdk.provider && group.2 == theirs) {
                    Some(group) => group.3.push(sdk.label()),
                    None => groups.push((sdk.provider, code.to_owned(), theirs, vec![sdk.label()])),
                }
            }
        }
        for (provider, ours, theirs, sdks) in groups {
            let (name, why) = (case.name, case.why);
            assert!(!why.is_empty(), "{provider}: {name}: {ours} here, and {theirs} by {sdks:?}");
            rows.push(format!(
                "| {name} | {provider} | `{ours}` | {theirs} by {} | {why} |",
                sdks.join(", ")
            ));
        }
    }
    rows
}

/// An SDK's verdict, which is the same for each family of headers.
fn verdict(sdk: &Sdk, secret: &str, headers: HeaderMap, body: &str) -> bool {
    let mut verdicts =
        families(sdk, headers).into_iter().map(|headers| sdk.verify(secret, &headers, body).is_ok());
    let first = verdicts.next().unwrap();
    assert!(verdicts.all(|verdict| verdict == first), "{}: the families differ", sdk.label());
    first
}
