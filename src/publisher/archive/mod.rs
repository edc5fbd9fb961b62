//! Archives of the original's command-line client: an API with its definition, documents, picture and deployments as a zip
//! file, written and read.

mod belongings;
mod certificate_files;
mod certificates;
mod export;
mod import;
mod import_product;
mod left_out;
mod mediation_policies;
mod parameter_endpoints;
mod parameters;
mod policy;
mod project;
mod soap_sequences;
mod writes;

pub(crate) use policy::{packed, policy, read_policy, unpacked, yaml};
pub use project::ArchiveFormat;
