//! Typed events: the trait of an event type, and the macro that declares one.

use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::event::Json;
use crate::event::json_object::{Text, once};

/// A provider's events. [`events!`](crate::events) declares a type that implements it.
///
/// [`Delivery::event`](crate::Delivery::event) returns one. An event can be queued and read back: it is
/// `Serialize` and `Deserialize`, as `{"event":…,"data":…}` with the data unchanged. (A detour through a
/// `serde_json::Value` keeps numbers only as exactly as that type does.) Reading back does not verify, so read
/// back only what your own service wrote, from a place where nobody else can write. A provider's body is refused
/// there if it has another field, such as `id` or `timestamp`.
///
/// Queue an event as JSON text, and not inside a type with `#[serde(flatten)]` or an internal tag: serde
/// buffers such a type in a form that loses the text of JSON values.
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Makes the event from its name and data. An unknown name is not an error: the event is kept as it is.
    ///
    /// # Errors
    /// [`Error::InvalidEvent`] if the data of a known event lacks a documented field.
    fn from_data(data: EventData<'_>) -> Result<Self, Error>;

    /// The event's name on the wire, such as `quote.completed`.
    fn name(&self) -> &str;

    /// The variant's name, or `Unknown` for an event that the type does not know. Unlike
    /// [`name`](Event::name), it has few values, so it is suitable as a metric's label.
    fn variant(&self) -> &'static str;

    /// Writes only the data, unchanged.
    ///
    /// # Errors
    /// The serializer's own.
    fn serialize_data<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// The name and the data of an event, from a verified delivery or from your own queue.
#[derive(Debug, Clone, Copy)]
pub struct EventData<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'a> EventData<'a> {
    pub(crate) fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text }
    }

    /// The event's name on the wire.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The data as JSON text, or `null` if the body has none.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Parses the data as a known event's payload.
    ///
    /// # Errors
    /// [`Error::InvalidEvent`] if it is not one.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(self.text)
            .map_err(|source| Error::InvalidEvent { event: self.name.to_owned(), source: source.into() })
    }
}

/// An event that the event type does not know, kept unchanged.
///
/// Its data was signed and is well-formed JSON. It was not checked further: [`Json`] lists what it may still
/// contain.
///
/// It is an [`Event`] itself, for a provider whose events have no types yet: `type Event = UnknownEvent`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownEvent {
    /// The event's name on the wire.
    pub name: String,
    /// The event's data: any JSON, or `null` if the body had none.
    pub data: Json,
}

impl Event for UnknownEvent {
    fn from_data(data: EventData<'_>) -> Result<Self, Error> {
        Ok(Self { name: data.name.to_owned(), data: data.parse()? })
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn variant(&self) -> &'static str {
        "Unknown"
    }

    fn serialize_data<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.data.serialize(serializer)
    }
}

impl Serialize for UnknownEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for UnknownEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer)
    }
}

/// Declares a provider's events: an enum with one variant for each event's name, which holds the
/// payload, and `Unknown` for every other name.
///
/// The enum implements [`Event`], `Serialize` and `Deserialize`. [`name`](Event::name) and
/// [`variant`](Event::variant) are also inherent methods, so the trait need not be imported. The enum is
/// `#[non_exhaustive]`: outside your crate, which includes its `tests`, a `match` needs a last arm `_`.
///
/// A payload is any type that is `Serialize`, `DeserializeOwned`, `Debug`, `Clone` and
/// `PartialEq`. [`payload!`](crate::payload) declares one that loses nothing. Each variant has a payload; for
/// an event without data, use one without fields (`optional {}`).
///
/// ```
/// countersign::payload! {
///     /// Something was built.
///     pub struct Build { optional {} }
/// }
///
/// countersign::events! {
///     /// What my provider sends.
///     pub enum Event {
///         /// A build has ended.
///         BuildEnded(Build) = "build.ended",
///     }
/// }
///
/// let event: Event = serde_json::from_str(r#"{"event":"build.ended","data":{"n":1}}"#)?;
/// assert!(matches!(event, Event::BuildEnded(_)));
/// assert_eq!((event.name(), event.variant()), ("build.ended", "BuildEnded"));
/// assert_eq!(serde_json::to_string(&event)?, r#"{"event":"build.ended","data":{"n":1}}"#);
///
/// let event: Event = serde_json::from_str(r#"{"event":"build.began","data":null}"#)?;
/// assert_eq!((event.name(), event.variant()), ("build.began", "Unknown"));
/// assert_eq!(Event::NAMES, ["build.ended"]); // the names, for a list of what you subscribe to
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! events {
    (
        $(#[$meta:meta])*
        $vis:vis enum $event:ident {
            $( $(#[$variant_meta:meta])* $variant:ident($payload:ty) = $name:literal ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        #[allow(clippy::large_enum_variant, reason = "an event is read once and moved little")]
        $vis enum $event {
            $( $(#[$variant_meta])* $variant($payload), )*
            /// An event with another name, kept unchanged.
            Unknown($crate::UnknownEvent),
        }

        impl $event {
            /// The names of the events that this type knows, as they are on the wire, in the order of their
            /// declaration.
            #[allow(dead_code, reason = "not every program lists its events")]
            pub const NAMES: &'static [&'static str] = &[$( $name ),*];

            /// The event's name on the wire.
            #[must_use]
            pub fn name(&self) -> &str {
                match self {
                    $( Self::$variant(_) => $name, )*
                    Self::Unknown(event) => &event.name,
                }
            }

            /// The variant's name, or `Unknown` for an event with another name. It has few values, for metrics.
            #[must_use]
            pub fn variant(&self) -> &'static str {
                match self {
                    $( Self::$variant(_) => stringify!($variant), )*
                    Self::Unknown(_) => "Unknown",
                }
            }
        }

        impl $crate::Event for $event {
            fn from_data(
                data: $crate::EventData<'_>,
            ) -> ::core::result::Result<Self, $crate::Error> {
                match data.name() {
                    $( $name => data.parse().map(Self::$variant), )*
                    _ => $crate::Event::from_data(data).map(Self::Unknown),
                }
            }

            fn name(&self) -> &str {
                Self::name(self)
            }

            fn variant(&self) -> &'static str {
                Self::variant(self)
            }

            fn serialize_data<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                match self {
                    $( Self::$variant(payload) => $crate::__private::serde::Serialize::serialize(payload, serializer), )*
                    Self::Unknown(event) => $crate::Event::serialize_data(event, serializer),
                }
            }
        }

        impl $crate::__private::serde::Serialize for $event {
            fn serialize<S: $crate::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::__private::serialize(self, serializer)
            }
        }

        impl<'de> $crate::__private::serde::Deserialize<'de> for $event {
            fn deserialize<D: $crate::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::__private::deserialize(deserializer)
            }
        }
    };
}

/// Writes an event for a queue.
///
/// # Errors
/// The serializer's own.
pub fn serialize<E: Event, S: Serializer>(event: &E, serializer: S) -> Result<S::Ok, S::Error> {
    struct Data<'a, E>(&'a E);

    impl<E: Event> Serialize for Data<'_, E> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize_data(serializer)
        }
    }

    let mut object = serializer.serialize_struct("Event", 2)?;
    object.serialize_field("event", event.name())?;
    object.serialize_field("data", &Data(event))?;
    object.end()
}

/// Reads an event back from a queue.
///
/// # Errors
/// The deserializer's own, and those of [`Event::from_data`].
pub fn deserialize<'de, E: Event, D: Deserializer<'de>>(deserializer: D) -> Result<E, D::Error> {
    struct QueuedVisitor;

    impl<'de> Visitor<'de> for QueuedVisitor {
        type Value = (String, Json);

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with the fields `event` and `data`")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut event = None;
            let mut data = None;
            while let Some(Text(name)) = map.next_key()? {
                match &*name {
                    "event" => once("event", &mut event, &mut map)?,
                    "data" => once("data", &mut data, &mut map)?,
                    // A provider's body is not a queued event: it must be verified.
                    _ => return Err(A::Error::unknown_field(&name, &["event", "data"])),
                }
            }
            Ok((
                event.ok_or_else(|| A::Error::missing_field("event"))?,
                data.ok_or_else(|| A::Error::missing_field("data"))?,
            ))
        }
    }

    let (name, data) = deserializer.deserialize_map(QueuedVisitor)?;
    E::from_data(EventData::new(&name, data.as_str())).map_err(|error| match error {
        Error::InvalidEvent { source, .. } => {
            D::Error::custom(format_args!("the data of `{name}`: {source}"))
        }
        other => D::Error::custom(other),
    })
}
