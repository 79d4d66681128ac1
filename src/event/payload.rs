//! An event's data: the documented fields as struct fields, and the rest kept.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;

use crate::event::json::{Json, JsonText};
use crate::event::json_object::Text;

/// The part of a payload that is in none of its typed fields, in its original order.
///
/// It contains the fields that the type does not declare, and the optional fields whose value has another type,
/// including `null`. A payload that is written back as JSON therefore equals the JSON that came in.
///
/// ```
/// use countersign::provider::nowtoprint::QuoteReceived;
///
/// let text = r#"{"rfqId":"rfq_1","quoteId":"quote_1","priority":"rush"}"#;
/// let quote: QuoteReceived = serde_json::from_str(text)?;
/// assert_eq!(quote.extra.get("priority").unwrap().as_str(), r#""rush""#);
/// assert_eq!(serde_json::to_string(&quote)?, text);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra(Content);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Fields(Vec<(String, Json)>),
    Whole(Json),
}

impl Extra {
    /// The first value with this name, unchanged.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.iter().find(|field| field.0 == name).map(|field| field.1)
    }

    /// Each name with its value. A name occurs as often as it did on the wire.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        let fields = match &self.0 {
            Content::Fields(fields) => fields.as_slice(),
            Content::Whole(_) => &[],
        };
        fields.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The whole data, if it could not be split into fields: it is not an object (`null` for an event
    /// without data), repeats a declared field, or has a field's name that is not Unicode. This occurs only in
    /// payloads without a required field. All their fields are `None` then.
    #[must_use]
    pub fn as_whole(&self) -> Option<&Json> {
        match &self.0 {
            Content::Fields(_) => None,
            Content::Whole(json) => Some(json),
        }
    }

    /// Whether the typed fields contain the whole payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Content::Fields(fields) if fields.is_empty())
    }

    fn push(&mut self, name: Cow<'_, str>, value: Json) {
        match &mut self.0 {
            Content::Fields(fields) => fields.push((name.into_owned(), value)),
            Content::Whole(_) => {}
        }
    }

    /// Writes the fields after the typed ones.
    #[doc(hidden)]
    pub fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
    }
}

impl Default for Extra {
    fn default() -> Self {
        Self(Content::Fields(Vec::new()))
    }
}

/// Declares the type of an event's data: a struct with required fields, optional fields, and
/// `extra`, which keeps everything else. Reading and writing it loses nothing.
///
/// - A **required** field must be present with its type. Without it, the event is
///   [`InvalidEvent`](crate::Error::InvalidEvent).
/// - An **optional** field is an `Option`. It is `None` if it is absent or has another type; a value of another
///   type is kept in `extra`, so it neither fails the event nor is lost.
/// - A declared field that occurs twice is ambiguous, and an error too.
/// - A payload without required fields never fails: data that is not an object, or repeats a declared field, is kept
///   as a whole in `extra`.
/// - A payload may contain itself, in a `Vec` or a `Box`. The outermost 16 levels of payloads are read as their
///   types, so no body overflows the stack. Below them, a payload without required fields is kept as a whole in its
///   `extra`. One with required fields has nowhere to keep what is not read, so a chain of more than 16 of them is
///   [`InvalidEvent`](crate::Error::InvalidEvent). An optional field with more than 127 levels of arrays and
///   objects is kept in `extra` too.
///
/// `required { … }` comes before `optional { … }`, and either may be left out. No field may be called `extra`.
///
/// ```
/// countersign::payload! {
///     /// A release was published.
///     pub struct Release {
///         required {
///             /// The tag that was released.
///             tag_name: String = "tagName",
///         }
///         optional {
///             /// Its size in bytes.
///             size: countersign::Number = "size",
///         }
///     }
/// }
///
/// let text = r#"{"tagName":"v1.0","size":"unknown","draft":false}"#;
/// let release: Release = serde_json::from_str(text)?;
/// assert_eq!(release.tag_name, "v1.0");
/// assert_eq!(release.size, None);
/// assert_eq!(release.extra.get("size").unwrap().as_str(), r#""unknown""#);
/// assert_eq!(serde_json::to_string(&release)?, text);
/// assert!(serde_json::from_str::<Release>("{}").is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! payload {
    (
        $(#[$meta:meta])*
        $vis:vis struct $payload:ident {
            $(required {
                $( $(#[$required_meta:meta])* $required:ident: $required_type:ty = $required_name:literal ),+ $(,)?
            })?
            $(optional {
                $( $(#[$optional_meta:meta])* $optional:ident: $optional_type:ty = $optional_name:literal ),* $(,)?
            })?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        $vis struct $payload {
            $($( $(#[$required_meta])* pub $required: $required_type, )+)?
            $($( $(#[$optional_meta])* pub $optional: ::core::option::Option<$optional_type>, )*)?
            /// The rest of the payload.
            pub extra: $crate::Extra,
        }

        const _: () = {
            #[derive(Default)]
            struct __CountersignFields {
                $($( $required: ::core::option::Option<$required_type>, )+)?
                $($( $optional: ::core::option::Option<$optional_type>, )*)?
            }

            impl $crate::__private::Fields for __CountersignFields {
                type Payload = $payload;

                const REQUIRED: &'static [&'static str] = &[$($( $required_name, )+)?];

                fn read<'de, __A: $crate::__private::serde::de::MapAccess<'de>>(
                    &mut self,
                    name: $crate::__private::Cow<'_, str>,
                    extra: &mut $crate::Extra,
                    map: &mut __A,
                ) -> ::core::result::Result<(), __A::Error> {
                    match &*name {
                        $($( $required_name => $crate::__private::once($required_name, &mut self.$required, map), )+)?
                        $($( $optional_name => $crate::__private::optional($optional_name, &mut self.$optional, extra, map), )*)?
                        _ => $crate::__private::unknown(name, extra, map),
                    }
                }

                fn finish<__E: $crate::__private::serde::de::Error>(
                    self,
                    extra: $crate::Extra,
                ) -> ::core::result::Result<$payload, __E> {
                    ::core::result::Result::Ok($payload {
                        $($( $required: self.$required.ok_or_else(|| __E::missing_field($required_name))?, )+)?
                        $($( $optional: self.$optional, )*)?
                        extra,
                    })
                }
            }

            impl<'de> $crate::__private::serde::Deserialize<'de> for $payload {
                fn deserialize<__D: $crate::__private::serde::Deserializer<'de>>(
                    deserializer: __D,
                ) -> ::core::result::Result<Self, __D::Error> {
                    $crate::__private::read::<__CountersignFields, __D>(deserializer)
                }
            }

            impl $crate::__private::serde::Serialize for $payload {
                fn serialize<__S: $crate::__private::serde::Serializer>(
                    &self,
                    serializer: __S,
                ) -> ::core::result::Result<__S::Ok, __S::Error> {
                    if let ::core::option::Option::Some(whole) = self.extra.as_whole() {
                        return $crate::__private::serde::Serialize::serialize(whole, serializer);
                    }
                    let mut map = $crate::__private::serde::Serializer::serialize_map(serializer, ::core::option::Option::None)?;
                    $($( $crate::__private::serde::ser::SerializeMap::serialize_entry(&mut map, $required_name, &self.$required)?; )+)?
                    $($( if let ::core::option::Option::Some(value) = &self.$optional {
                        $crate::__private::serde::ser::SerializeMap::serialize_entry(&mut map, $optional_name, value)?;
                    } )*)?
                    self.extra.serialize_into(&mut map)?;
                    $crate::__private::serde::ser::SerializeMap::end(map)
                }
            }
        };
    };
}

/// The fields of a payload while it is read, as `payload!` declares them.
pub trait Fields: Default {
    /// The payload's type.
    type Payload;

    /// The names of the required fields.
    const REQUIRED: &'static [&'static str];

    /// Reads a field's value.
    ///
    /// # Errors
    /// If a declared field is repeated, or a required field has another type.
    fn read<'de, A: MapAccess<'de>>(
        &mut self,
        name: Cow<'_, str>,
        extra: &mut Extra,
        map: &mut A,
    ) -> Result<(), A::Error>;

    /// Makes the payload.
    ///
    /// # Errors
    /// If a required field is missing.
    fn finish<E: serde::de::Error>(self, extra: Extra) -> Result<Self::Payload, E>;
}

/// How many levels of arrays and objects an optional field's value may have to be read as its type. This is
/// `serde_json`'s own limit, which starts anew with each reader of a field.
const MAX_LEVELS: usize = 127;

/// How many payloads may be nested and still be read as their types. A level takes about 5 KiB of stack in an
/// unoptimized build, and more if a payload has many fields.
const MAX_PAYLOADS: u8 = 16;

thread_local! {
    /// How many nested payloads this thread is reading.
    static PAYLOADS: Cell<u8> = const { Cell::new(0) };
}

/// A payload that is being read.
struct Level;

impl Level {
    /// Returns `None` if too many are nested.
    fn enter() -> Option<Self> {
        let payloads = PAYLOADS.get();
        (payloads < MAX_PAYLOADS).then(|| {
            PAYLOADS.set(payloads + 1);
            Self
        })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        PAYLOADS.set(PAYLOADS.get() - 1);
    }
}

/// Reads a payload.
///
/// # Errors
/// For a payload with required fields: those of [`Fields`], and if the data is not an object or is nested in too many
/// other payloads.
pub fn read<'de, F: Fields, D: Deserializer<'de>>(deserializer: D) -> Result<F::Payload, D::Error> {
    let level = Level::enter();
    if !F::REQUIRED.is_empty() {
        if level.is_none() {
            return Err(D::Error::custom("more than 16 payloads stand in one another"));
        }
        return deserializer.deserialize_map(FieldsVisitor::<F>(PhantomData));
    }
    // Nothing is documented about this payload, so no data may fail it.
    let text = JsonText::deserialize(deserializer)?;
    let payload = level.and_then(|_level| {
        let mut reader = serde_json::Deserializer::from_str(text.as_str());
        reader.deserialize_map(FieldsVisitor::<F>(PhantomData)).ok()
    });
    match payload {
        Some(payload) => Ok(payload),
        None => F::default().finish(Extra(Content::Whole(text.into_json()?))),
    }
}

/// Reads an optional field into its place if it has the right type, and into `extra` otherwise.
///
/// # Errors
/// If the field is repeated.
pub fn optional<'de, T, A>(
    name: &'static str,
    field: &mut Option<T>,
    extra: &mut Extra,
    map: &mut A,
) -> Result<(), A::Error>
where
    T: DeserializeOwned,
    A: MapAccess<'de>,
{
    if field.is_some() || extra.get(name).is_some() {
        return Err(A::Error::duplicate_field(name));
    }
    let text: JsonText<'de> = map.next_value()?;
    let value =
        if text.nests_deeper_than(MAX_LEVELS) { None } else { serde_json::from_str(text.as_str()).ok() };
    match value {
        Some(value) => *field = Some(value),
        None => extra.push(Cow::Borrowed(name), text.into_json()?),
    }
    Ok(())
}

/// Keeps a field that the payload does not declare.
///
/// # Errors
/// The deserializer's own.
pub fn unknown<'de, A: MapAccess<'de>>(
    name: Cow<'_, str>,
    extra: &mut Extra,
    map: &mut A,
) -> Result<(), A::Error> {
    let json = map.next_value()?;
    extra.push(name, json);
    Ok(())
}

struct FieldsVisitor<F>(PhantomData<F>);

impl<'de, F: Fields> Visitor<'de> for FieldsVisitor<F> {
    type Value = F::Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = F::default();
        let mut extra = Extra::default();
        while let Some(Text(name)) = map.next_key()? {
            fields.read(name, &mut extra, &mut map)?;
        }
        fields.finish(extra)
    }
}
