//! The project's own pages and lists.

mod figures;
mod packages;
mod readme;
mod supply_chain;
