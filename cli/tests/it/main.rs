//! The program as its users have it: the real binary, real servers, a real browser.

#![cfg(unix)]

mod browser;
mod completions;
mod listen;
mod page;
mod receiver;
mod secrets;
mod send;
mod sign;
mod support;
mod verify;
