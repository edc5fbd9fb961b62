//! Archives of the original's command-line client: an API with its definition, documents, picture and deployments as a zip
//! file, written and read.

mod export;
mod import;
mod project;
mod zip;

pub use project::ArchiveFormat;
