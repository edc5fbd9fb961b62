//! Bodies of the REST contracts that more than one component serves: documents, comments, contents,
//! environments, WSDL.

pub mod comment;
pub mod content;
pub mod document;
pub mod environment;
pub mod llm_provider;
pub mod look;
pub mod organization;
pub mod search;
pub mod theme;
pub mod wsdl;
