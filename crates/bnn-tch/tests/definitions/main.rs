//! What the conformance suite does not ask: it is held against the definitions here.
#![cfg(feature = "tch")]

mod edges;
mod float;
