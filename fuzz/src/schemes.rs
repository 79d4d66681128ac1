//! The targets of the schemes: the header forms, the templates and the declarations.

use std::cell::OnceCell;

use serde_json::json;

use crate::bytes::parts;
use crate::model::{Encoding, Model, Pairs, Part, Place, one, splits};
use crate::ours::{KEYS, NOW, Ours, built_ins, declared, own_keys};

thread_local! {
    static BUILT_INS: OnceCell<Vec<(Model, Box<dyn Ours>)>> = const { OnceCell::new() };
}

/// The crate's verdict has to be the model's. Returns whether it is accepted.
fn agree(model: &Model, ours: &dyn Ours, headers: &Pairs, body: &[u8], cuts: &[u8]) -> bool {
    let expected = model.verdict(&own_keys(), headers, body, NOW);
    match (ours.verdict(headers, body, cuts), expected) {
        (Ok(position), Ok(expected)) => {
            assert_eq!(position, expected);
            true
        }
        (Err(code), Err(problems)) => {
            assert!(problems.contains(code), "{code}, but {problems:?}: {headers:?}");
            false
        }
        (verdict, expected) => panic!("{verdict:?}, but {expected:?}: {model:?} {headers:?}"),
    }
}

/// A digit of the input, as a number below so many.
fn choice(digit: u8, count: u8) -> u8 {
    digit.wrapping_sub(b'0') % count
}

/// One of the words, by a digit of the input.
fn word<'w, const COUNT: usize>(words: [&'w str; COUNT], digit: u8) -> &'w str {
    words[usize::from(digit.wrapping_sub(b'0')) % COUNT]
}

const SIGNED: [&str; 7] = [
    "{body}",
    "{timestamp}.{body}",
    "{header:X-Id}.{timestamp}.{body}",
    "{timestamp}{body}",
    "{body}{header:x-id}",
    "{body}--{timestamp}",
    "{header:x-id}--{body}--{header:x-u}",
];

/// A scheme of any form, and headers of any values: the verdict is the model's.
///
/// Nine choices, each a digit, and the place and the bit of a change to the first header; then lines: the text before a
/// tag, the headers (the number of a name, and the value, in which control characters stand for tags and times), an empty
/// line and the body.
pub fn schemes(data: &[u8]) {
    let Some((choices, data)) = data.split_first_chunk::<11>() else { return };
    let &[kind, algorithm, encoding, form, separator, time, template, signer, cuts, place, flip] = choices;
    let [before, rest] = parts(data);
    let end = rest.windows(2).position(|two| two == b"\n\n").unwrap_or(rest.len());
    let (lines, body) = (&rest[..end], rest.get(end + 2..).unwrap_or_default());
    let check = |model: &Model, ours: &dyn Ours| {
        let time = NOW - 300 + u64::from(choice(time, 7)) * 100 + u64::from(choice(time, 2));
        let headers = expanded(model, lines, body, time, usize::from(choice(signer, 3)), (place, flip));
        agree(model, ours, &headers, body, &[cuts]);
    };
    let kind = choice(kind, 20);
    if kind < 9 {
        return BUILT_INS.with(|all| {
            let (model, ours) = &all.get_or_init(built_ins)[usize::from(kind)];
            check(model, &**ours);
        });
    }
    let Ok(before) = std::str::from_utf8(before) else { return };
    let mut declaration = json!({
        "name": "a",
        "algorithm": word(["hmac-sha256", "hmac-sha1", "hmac-sha512"], algorithm),
        "secret": word(["text", "hex", "base64"], kind),
        "signature": {
            "header": if kind % 2 == 0 { json!("x-s") } else { json!(["X-S", "x-t"]) },
            "encoding": word(["hex", "base64", "base64url"], encoding),
        },
        "signed": word(SIGNED, template),
    });
    let signature = &mut declaration["signature"];
    match choice(form, 3) {
        0 => signature["prefix"] = before.into(),
        1 => signature["each"] = before.into(),
        _ => signature["field"] = before.into(),
    }
    if choice(form, 3) > 0 {
        signature["separator"] = char::from(separator).to_string().into();
    }
    if [1, 2, 3, 5].contains(&choice(template, 7)) {
        let place = if choice(form, 6) == 2 { "field" } else { "header" };
        let tolerance = [Some(300), Some(0), None][usize::from(choice(time, 9) / 3)];
        declaration["timestamp"] = json!({
            place: if place == "field" { "t" } else { "x-time" },
            "unit": word(["s", "ms", "rfc3339"], time),
            "tolerance_s": tolerance,
        });
    }
    if choice(kind, 7) == 0 {
        declaration["event"] = json!(null);
    }
    if let Some((model, ours)) = declared(declaration.to_string().as_bytes()) {
        check(&model, &*ours);
    }
}

/// The headers of these lines, with one bit of the first flipped.
fn expanded(
    model: &Model,
    lines: &[u8],
    body: &[u8],
    time: u64,
    signer: usize,
    (place, flip): (u8, u8),
) -> Pairs {
    let names = model.names();
    let mut headers = Pairs::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((number, value)) = line.split_first() else { continue };
        let name = &names[usize::from(number.wrapping_sub(b'0')) % names.len()];
        let name = if number.is_ascii_uppercase() { name.to_ascii_uppercase() } else { name.clone() };
        headers.push((name, value.to_vec()));
    }
    // The tag is right for what is sent, where that is sent once.
    let time = model.time.as_ref().map_or_else(String::new, |each| each.unit.write(time));
    let sent = headers.clone();
    let value_of = |name: &str| {
        let family = model.family.map(|(beginning, other)| name.replacen(beginning, other, 1));
        let is_it =
            |other: &str| other.eq_ignore_ascii_case(name) || Some(other.to_ascii_lowercase()) == family;
        sent.iter().find(|(other, _)| is_it(other)).map_or(&b""[..], |(_, value)| &value[..])
    };
    let message = model.signed_bytes(time.as_bytes(), value_of, body);
    let tag = |key: usize| model.encoding.write(&model.algorithm.sign(KEYS[key], &message));
    let right = tag(signer);
    let swapped = |text: &str| -> String {
        let swap = |each| match each {
            '+' => '-',
            '/' => '_',
            '-' => '+',
            '_' => '/',
            other => other,
        };
        text.chars().map(swap).collect()
    };
    for (_, value) in &mut headers {
        let expand = |byte: &u8| match byte {
            1 => right.clone(),
            2 => tag((signer + 1) % KEYS.len()),
            3 => time.clone(),
            4 => right.to_uppercase(),
            5 => right.trim_end_matches('=').to_owned(),
            6 => swapped(&right),
            7 => right[1..].to_owned(),
            8 => model.encoding.write(&[0; 20]),
            // Latin-1 for now.
            other => char::from(*other).into(),
        };
        let text: String = value.iter().map(expand).collect();
        *value = text.chars().map(|each| u8::try_from(each).expect("Latin-1")).collect();
    }
    if let Some((_, value)) = headers.first_mut()
        && !value.is_empty()
    {
        let place = usize::from(place) % value.len();
        value[place] ^= flip & 0x0f;
    }
    headers
}

/// A template, values, a time and a body: what is signed is what a second HMAC signs; every other way to take the signed
/// bytes apart is refused, and so is everything spoiled.
pub fn templates(data: &[u8]) {
    let Some((choices, data)) = data.split_first_chunk::<4>() else { return };
    let &[kind, unit, place, flip] = choices;
    let [template, first, second, body] = parts(data);
    let Ok(template) = std::str::from_utf8(template) else { return };
    let mut declaration = json!({"name": "a", "signature": {"header": "x-s"}, "signed": template});
    if choice(unit, 4) < 3 {
        let unit = word(["s", "ms", "rfc3339", ""], unit);
        declaration["timestamp"] = json!({"header": "x-time", "unit": unit});
    }
    if choice(kind, 2) == 1 {
        declaration["event"] = json!(null);
    }
    let Some((model, ours)) = declared(declaration.to_string().as_bytes()) else { return };
    let values: Vec<(String, &[u8])> =
        model.signed().map(str::to_owned).zip([first, second, first, second]).collect();
    let time = model.time.as_ref().map_or_else(String::new, |time| time.unit.write(NOW));
    let value_of =
        |name: &str| values.iter().find(|(other, _)| other == name).map_or(&b""[..], |each| each.1);
    let message = model.signed_bytes(time.as_bytes(), value_of, body);
    let tag = model.encoding.write(&model.algorithm.sign(KEYS[0], &message));
    let with = |time: &[u8], values: &[(String, &[u8])]| -> Pairs {
        let mut headers =
            vec![("x-s".to_owned(), tag.clone().into_bytes()), ("X-Time".to_owned(), time.to_vec())];
        headers.extend(values.iter().map(|(name, value)| (name.clone(), value.to_vec())));
        headers
    };
    let headers = with(time.as_bytes(), &values);
    let is_accepted = agree(&model, &*ours, &headers, body, &[3]);

    // No other delivery has the same signed bytes.
    let unit = model.time.as_ref().map_or(crate::model::Unit::Seconds, |time| time.unit);
    let others = if is_accepted { splits(&model.parts, unit, &message) } else { Vec::new() };
    for places in others {
        let text = |wanted: &Part| {
            let at = model.parts.iter().position(|part| part == wanted);
            at.map_or(&b""[..], |at| &message[places[at].clone()])
        };
        let other_values: Vec<(String, &[u8])> =
            model.signed().map(|name| (name.to_owned(), text(&Part::Header(name.to_owned())))).collect();
        let (other_time, other_body) = (text(&Part::Time), text(&Part::Body));
        if (other_time, &other_values, other_body) == (time.as_bytes(), &values, body) {
            continue;
        }
        assert!(
            !ours.proves(&with(other_time, &other_values), other_body),
            "two deliveries have the same signed bytes under {template:?}: {headers:?} {:?} and {other_values:?} {:?} {:?}",
            body.escape_ascii().to_string(),
            other_time.escape_ascii().to_string(),
            other_body.escape_ascii().to_string()
        );
    }

    // One bit, of whatever is signed.
    if is_accepted && flip != 0 {
        let mut spoiled = headers.clone();
        let mut spoiled_body = body.to_vec();
        let mut signed: Vec<&mut u8> = spoiled_body.iter_mut().collect();
        for (name, value) in &mut spoiled {
            if name == "x-s" || model.names().contains(&name.to_ascii_lowercase()) {
                signed.extend(value.iter_mut());
            }
        }
        let place = usize::from(place) % signed.len();
        *signed[place] ^= flip;
        assert!(!ours.proves(&spoiled, &spoiled_body), "a spoiled delivery was accepted");
    }
}

/// Any text as a declaration: accepted where the model reads one, and then what it signs it accepts, under the tag that a
/// second HMAC makes, and refuses with another body or at another time.
pub fn declarations(data: &[u8]) {
    let Some((model, ours)) = declared(data) else { return };
    let body = br#"{"event":"a","type":"b","id":"evt_1"}"#;
    for id in ["msg_1", "a"] {
        let headers = ours.sign(body, NOW, id);
        let all = |name: &str| headers.iter().find(|(other, _)| other == name).map(|(_, value)| &value[..]);
        let value_of = |name: &str| all(name).unwrap_or_default();
        let is_accepted = agree(&model, &*ours, &headers, body, &[9]);
        assert_eq!(is_accepted, model.are_told_apart(value_of), "{headers:?}");

        let time = model.time.as_ref().map_or_else(String::new, |time| time.unit.write(NOW));
        let tag = model.algorithm.sign(KEYS[0], &model.signed_bytes(time.as_bytes(), value_of, body));
        let tag = model.encoding.write(&tag);
        let mut expected = format!("{}{tag}", model.before);
        if let (Some(separator), Some(Place::Field(key))) =
            (model.separator, model.time.as_ref().map(|time| &time.place))
        {
            expected = format!("{key}{time}{separator}{expected}");
        }
        assert_eq!(all(&model.headers[0]).map(|value| String::from_utf8_lossy(value)), Some(expected.into()));

        agree(&model, &*ours, &headers, b"{}", &[]);
        assert!(!ours.proves(&headers, br#"{"event":"a","type":"b","id":"evt_2"}"#));
        let mut twice = headers.clone();
        twice.push(headers.iter().find(|(name, _)| *name == model.headers[0]).expect("it is signed").clone());
        assert_eq!(ours.verdict(&twice, body, &[]), Err("duplicate_signature"));
        for (at, (name, _)) in headers.iter().enumerate() {
            let mut fewer = headers.clone();
            fewer.remove(at);
            assert!(!agree(&model, &*ours, &fewer, body, &[]) || !model.names().contains(name));
        }
        for apart in [-301_i64, -300, 300, 301] {
            let time = NOW.checked_add_signed(apart).expect("a time");
            agree(&model, &*ours, &ours.sign(body, time, id), body, &[]);
        }
        if model.encoding == Encoding::Hex {
            let mut other = headers.clone();
            other[0].1.make_ascii_uppercase();
            agree(&model, &*ours, &other, body, &[]);
        }
    }
    assert_eq!(model.verdict(&own_keys(), &Pairs::new(), body, NOW), Err(one("missing_signature")));
    assert_eq!(ours.verdict(&Pairs::new(), body, &[]), Err("missing_signature"));
}
