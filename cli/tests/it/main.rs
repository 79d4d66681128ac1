//! The program as its users have it: the real binary, real servers, a real browser.

#![cfg(unix)]

mod answers;
mod axe;
mod browser;
mod completions;
mod forge;
mod guard;
mod journal;
mod keys;
mod layout;
mod limits;
mod listen;
mod page;
mod payload;
mod providers;
mod reach;
mod receiver;
mod secrets;
mod send;
mod sign;
mod stream;
mod support;
mod terminal;
mod types;
mod verify;
