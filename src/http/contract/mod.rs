//! Bodies of the REST contracts that more than one component serves: documents, comments, contents,
//! environments, WSDL, and what of definitions is not shown outside.

pub mod comment;
pub mod content;
pub mod document;
pub mod environment;
pub mod hidden;
pub mod llm_provider;
pub mod look;
pub mod organization;
pub mod search;
pub mod theme;
pub mod wsdl;
