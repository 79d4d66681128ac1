//! The project's own pages and lists.

mod figures;
mod readme;
mod supply_chain;
