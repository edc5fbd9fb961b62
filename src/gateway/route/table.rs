//! The table of all contexts: a hash look-up for each depth at which there are any, deepest first.

use std::collections::HashMap;
use std::sync::Arc;

use super::api::CompiledApi;
use super::path;

/// Where all paths lead. It is never changed, only replaced.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    contexts: HashMap<Box<[u8]>, Arc<CompiledApi>>,
    /// The numbers of segments that contexts have, the largest first.
    depths: Vec<usize>,
}

/// An API that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route<'a> {
    pub(crate) api: &'a CompiledApi,
    /// How many segments its context has.
    pub(crate) depth: usize,
    /// Where the context ends in the decoded path.
    pub(crate) end: usize,
}

impl RouteTable {
    /// Makes a table. Returns with it the contexts that more than one API claims; the first keeps them.
    pub(crate) fn new(routes: impl IntoIterator<Item = (String, Arc<CompiledApi>)>) -> (Self, Vec<String>) {
        let mut table = Self::default();
        let mut claimed_twice = Vec::new();
        for (context, api) in routes {
            // A context is designed in plain text; a path that encodes some of its letters means the same.
            let decoded = path::decode(context.as_bytes()).unwrap_or_else(|_| context.clone().into_bytes());
            let depth = decoded.iter().filter(|byte| **byte == b'/').count();
            if table.contexts.contains_key(decoded.as_slice()) {
                claimed_twice.push(context);
                continue;
            }
            table.contexts.insert(decoded.into_boxed_slice(), api);
            if !table.depths.contains(&depth) {
                table.depths.push(depth);
            }
        }
        table.depths.sort_unstable_by(|one, other| other.cmp(one));
        (table, claimed_twice)
    }

    /// Finds the API with the longest context that `path` (checked and decoded) is below of.
    pub(crate) fn find(&self, path: &[u8]) -> Option<Route<'_>> {
        self.depths.iter().find_map(|&depth| {
            let end = path::end_of_segments(path, depth)?;
            let api = self.contexts.get(&path[..end])?;
            Some(Route { api, depth, end })
        })
    }
}
