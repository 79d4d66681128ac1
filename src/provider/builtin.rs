//! The declaration of a provider that is generic over its events' type.

/// Declares a provider without settings, generic over the type of its events.
macro_rules! builtin {
    (
        $(#[$meta:meta])*
        pub struct $provider:ident = $name:literal;
        scheme: $scheme:expr;
        envelope: $envelope:expr;
        $(challenge: $challenge:expr;)?
    ) => {
        $(#[$meta])*
        pub struct $provider<E = $crate::event::UnknownEvent>(std::marker::PhantomData<fn() -> E>);

        impl<E: $crate::event::Event> $crate::provider::Provider for $provider<E> {
            type Event = E;

            const NAME: &'static str = $name;

            const SCHEME: $crate::scheme::Scheme<'static> = $scheme;

            const ENVELOPE: $crate::event::Envelope<'static> = $envelope;

            $(const CHALLENGE: Option<$crate::provider::Challenge> = Some($challenge);)?
        }

        impl<E> Default for $provider<E> {
            fn default() -> Self {
                Self(std::marker::PhantomData)
            }
        }

        impl<E> Clone for $provider<E> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<E> Copy for $provider<E> {}

        impl<E> std::fmt::Debug for $provider<E> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($provider))
            }
        }
    };
}

pub(crate) use builtin;
