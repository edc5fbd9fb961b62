//! APIs in the order of a list, remembered until an API changes: who pages through a list, or has it shown again, waits for the
//! page alone.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use imbl::OrdMap;
use portcullis_model::{Api, ApiId};

/// Lists that are remembered. Each costs a pointer for every API in it.
const LISTS_MAX: usize = 8;
/// How often a list is asked for, without a change between, before it is worth to put all of it in order.
const ASKED_MIN: u32 = 3;

/// Remembers lists by `K`: all that decides which APIs are in one, and in which order.
#[derive(Debug)]
pub struct OrderedApis<K> {
    lists: Mutex<Vec<Remembered<K>>>,
}

#[derive(Debug)]
struct Remembered<K> {
    key: K,
    /// The APIs as they were. That nothing was changed since is seen by where they are.
    apis: OrdMap<ApiId, Arc<Api>>,
    asked: u32,
    list: Option<Arc<[Arc<Api>]>>,
}

impl<K> Default for OrderedApis<K> {
    fn default() -> Self {
        Self { lists: Mutex::default() }
    }
}

impl<K: PartialEq> OrderedApis<K> {
    /// Returns the list of `key`: those of `apis` that are `found`, in `order`, both of which depend on nothing else. Where it was seldom asked for since the last
    /// change of an API there is none: to find one page then costs less than to put all of them in order.
    pub fn list<'a>(
        &self,
        key: K,
        apis: &'a OrdMap<ApiId, Arc<Api>>,
        found: impl Iterator<Item = &'a Arc<Api>>,
        order: impl Fn(&Api, &Api) -> Ordering,
    ) -> Option<Arc<[Arc<Api>]>> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        // What is over would hold on to APIs that are gone.
        lists.retain(|one| one.apis.ptr_eq(apis));
        let Some(known) = lists.iter_mut().find(|one| one.key == key) else {
            if lists.len() == LISTS_MAX {
                lists.remove(0);
            }
            lists.push(Remembered { key, apis: apis.clone(), asked: 1, list: None });
            return None;
        };
        known.asked = known.asked.saturating_add(1);
        if known.list.is_none() && known.asked >= ASKED_MIN {
            let mut all: Vec<Arc<Api>> = found.cloned().collect();
            all.sort_unstable_by(|one, other| order(one, other));
            known.list = Some(all.into());
        }
        known.list.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::store_fixture::api;

    #[test]
    fn a_list_is_made_once_it_is_wanted_and_not_kept_beyond_a_change() {
        let lists = OrderedApis::default();
        let mut apis: OrdMap<ApiId, Arc<Api>> =
            (1..4).map(|n| (ApiId::from_random([n; 16]), Arc::new(api(n)))).collect();
        let ask = |key: u32, apis: &OrdMap<ApiId, Arc<Api>>| {
            lists.list(key, apis, apis.values(), Api::order_by_name).map(|list| list.len())
        };
        assert_eq!([ask(1, &apis), ask(1, &apis), ask(2, &apis)], [None; 3]);
        assert_eq!([ask(1, &apis), ask(1, &apis.clone()), ask(2, &apis)], [Some(3), Some(3), None]);
        apis.insert(ApiId::from_random([9; 16]), Arc::new(api(9)));
        assert_eq!([ask(1, &apis), ask(1, &apis), ask(1, &apis)], [None, None, Some(4)]);
        for key in 2..20 {
            ask(key, &apis);
        }
        assert_eq!(lists.lists.lock().unwrap().len(), LISTS_MAX);
        assert_eq!(ask(1, &apis), None, "the first of too many is forgotten");
    }
}
