//! The project's own pages and lists.

mod claims;
mod figures;
mod packages;
mod readme;
mod supply_chain;
