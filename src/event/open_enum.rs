//! A provider's words, such as statuses: known words by name, and unknown words kept unchanged.

/// Declares a type that keeps its text, and an enum of the words that this version knows. Words are compared
/// without regard to ASCII case, because providers are inconsistent about it.
macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        pub struct $text:ident, as
        $(#[$kind_meta:meta])*
        pub enum $kind:ident {
            $( $(#[$word_meta:meta])* $variant:ident = $word:literal ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $text(Box<str>);

        impl $text {
            /// The word, unchanged.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The known word that it is, in any case.
            #[must_use]
            pub fn kind(&self) -> $kind<'_> {
                $( if self.0.eq_ignore_ascii_case($word) {
                    return $kind::$variant;
                } )+
                $kind::Unknown(&self.0)
            }
        }

        impl std::fmt::Debug for $text {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($text), "({:?})"), &self.0)
            }
        }

        impl std::fmt::Display for $text {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        $(#[$kind_meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $kind<'a> {
            $( $(#[$word_meta])* $variant, )+
            /// A word that this version does not know, unchanged.
            Unknown(&'a str),
        }
    };
}

pub(crate) use open_enum;
