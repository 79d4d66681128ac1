//! Guides: how to do things with this crate, one page for each. They contain no code of the crate.
//!
//! | guide | read it when |
//! |---|---|
//! | [`migrating`] | you verify webhooks with a few lines of `hmac` today |
//! | [`frameworks`] | you want to know which adapter fits your server |
//! | [`choosing_a_store`] | you decide where handled events are remembered |
//! | [`statuses`] | you look up what is answered, and why |
//! | [`testing_a_receiver`] | you write the first test of your endpoint |
//! | [`rotation`] | you replace a signing secret |
//! | [`tenants`] | your customers bring secrets of their own |
//! | [`writing_a_provider`] | your provider is not built in |
//! | [`writing_a_store`] | your database is not among the stores |
//! | [`the_mac`] | you need AWS-LC or a FIPS 140-validated module |

#[doc = include_str!("choosing_a_store.md")]
pub mod choosing_a_store {}

#[doc = include_str!("frameworks.md")]
pub mod frameworks {}

#[doc = include_str!("migrating.md")]
pub mod migrating {}

#[doc = include_str!("rotation.md")]
pub mod rotation {}

#[doc = include_str!("statuses.md")]
pub mod statuses {}

#[doc = include_str!("tenants.md")]
pub mod tenants {}

#[doc = include_str!("testing_a_receiver.md")]
pub mod testing_a_receiver {}

#[doc = include_str!("the_mac.md")]
pub mod the_mac {}

#[doc = include_str!("writing_a_provider.md")]
pub mod writing_a_provider {}

#[doc = include_str!("writing_a_store.md")]
pub mod writing_a_store {}
