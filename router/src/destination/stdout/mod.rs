//! Standard output: a line per alert, as Falco's JSON or as text.
mod config;
mod request;
mod service;
#[cfg(test)]
mod tests;

pub use config::{Config, Format, Output};
pub use request::lines;
pub use service::Service;
