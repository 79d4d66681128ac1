//! Schemes: what is accepted and refused, by published vectors, by an independent model, and by the rules.

mod builtins;
mod candidates;
mod declarations;
mod model;
mod vectors;
