use std::sync::Arc;

use portcullis_model::heading::{HEADING_DESCRIPTION_CHARS_MAX, HEADING_NAME_CHARS_MAX, HEADINGS_MAX, Heading, HeadingKind};
use portcullis_model::{Api, HeadingId, Refused};
use serde::{Deserialize, Serialize};

use super::{Command, Moment, SubmittedBy};
use crate::access::{Component, Writes};
use crate::headings;
use crate::state::{Apimgtdb, State};

/// Creates a category or a label, or changes one. APIs that name a category name it by its new name then. Replies with its
/// id, which is another where the request is a retry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PutHeading {
    /// The category or label.
    pub heading: Heading,
    /// Whether it must be new (`true`) or must exist (`false`).
    pub is_new: bool,
}

impl<C: Component> SubmittedBy<C> for PutHeading where C: Writes<Apimgtdb> {}

impl Command for PutHeading {
    type Reply = HeadingId;

    fn subject(&self) -> String {
        format!("{} {}", self.heading.kind.noun(), self.heading.name)
    }

    fn apply(self, state: &mut State, _moment: &Moment) -> Result<HeadingId, Refused> {
        let heading = self.heading;
        let (noun, key) = (heading.kind.noun(), (heading.tenant.clone(), heading.kind, heading.id));
        check(&heading)?;
        let before = state.apimgt.headings.get(&key).cloned();
        match (&before, self.is_new) {
            (Some(_), true) => return Err(Refused::exists(noun, &heading.name)),
            (None, false) => return Err(Refused::not_found(noun, heading.id)),
            _ => {}
        }
        let is_taken = |other: &Arc<Heading>| other.id != heading.id && other.name.to_lowercase() == heading.name.to_lowercase();
        if headings::of_tenant(&state.apimgt, &heading.tenant, heading.kind).any(is_taken) {
            return Err(Refused::exists(noun, &heading.name));
        }
        if self.is_new && headings::of_tenant(&state.apimgt, &heading.tenant, heading.kind).count() >= HEADINGS_MAX {
            return Err(Refused::LimitReached { what: format!("{noun}s"), max: HEADINGS_MAX as u64 });
        }
        if let Some(before) = before.filter(|before| before.kind == HeadingKind::Category && before.name != heading.name) {
            rename(state, &before, &heading.name);
        }
        state.apimgt.headings.insert(key, Arc::new(heading.clone()));
        Ok(heading.id)
    }
}

/// Gives APIs the new name of a category of theirs.
fn rename(state: &mut State, before: &Heading, name: &str) {
    let named: Vec<Arc<Api>> =
        state.apimgt.apis.values().filter(|api| headings::has(&state.apimgt, api, before)).cloned().collect();
    for api in named {
        let mut changed = Api::clone(&api);
        for category in changed.categories.iter_mut().filter(|category| **category == before.name) {
            name.clone_into(category);
        }
        state.apimgt.apis.insert(changed.id, Arc::new(changed));
    }
}

fn check(heading: &Heading) -> Result<(), Refused> {
    let chars = heading.name.chars().count();
    let is_name = heading.name.trim() == heading.name && !heading.name.chars().any(char::is_control);
    if chars == 0 || chars > HEADING_NAME_CHARS_MAX || !is_name {
        let reason = format!("must have 1 to {HEADING_NAME_CHARS_MAX} visible characters, and no space at its ends");
        return Err(Refused::invalid("name", reason));
    }
    let chars = heading.description.chars().count();
    if chars > HEADING_DESCRIPTION_CHARS_MAX {
        let reason = format!("may have at most {HEADING_DESCRIPTION_CHARS_MAX} characters, not {chars}");
        return Err(Refused::invalid("description", reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::store_fixture::{Fixture, api};
    use super::super::{DeleteApi, DeleteHeading, LabelApi};
    use super::*;

    fn heading(number: u8, kind: HeadingKind, name: &str) -> Heading {
        let id = HeadingId::from_random([number; 16]);
        Heading { id, tenant: api(7).tenant, kind, name: name.to_owned(), description: String::new() }
    }

    fn put(heading: Heading, is_new: bool) -> PutHeading {
        PutHeading { heading, is_new }
    }

    fn delete(heading: &Heading) -> DeleteHeading {
        DeleteHeading { tenant: heading.tenant.clone(), kind: heading.kind, id: heading.id }
    }

    #[test]
    fn a_category_that_is_renamed_keeps_its_apis_and_stays_while_it_has_any() {
        let mut fixture = Fixture::new();
        let money = heading(1, HeadingKind::Category, "Money");
        fixture.apply(put(money.clone(), true)).unwrap();
        fixture.publish(Api { categories: vec!["Money".to_owned()], ..api(7) });
        fixture.apply(put(heading(1, HeadingKind::Category, "Finance"), false)).unwrap();
        assert_eq!(fixture.state.apimgt.apis.get(&api(7).id).unwrap().categories, ["Finance"]);
        let refused = fixture.apply(delete(&money));
        assert!(matches!(refused, Err(Refused::WrongState { .. })), "{refused:?}");
        fixture.apply(DeleteApi { api: api(7).id }).unwrap();
        fixture.apply(delete(&money)).unwrap();
        assert!(matches!(fixture.apply(delete(&money)), Err(Refused::NotFound { .. })));
    }

    #[test]
    fn names_are_unique_among_those_of_a_kind_whatever_their_case() {
        let mut fixture = Fixture::new();
        fixture.apply(put(heading(1, HeadingKind::Category, "Money"), true)).unwrap();
        fixture.apply(put(heading(1, HeadingKind::Label, "Money"), true)).unwrap();
        let twice = fixture.apply(put(heading(2, HeadingKind::Category, "money"), true));
        assert_eq!(twice, Err(Refused::exists("API category", "money")));
        for wrong in ["", " a", "a\n", &"x".repeat(256)] {
            let refused = fixture.apply(put(heading(2, HeadingKind::Label, wrong), true));
            assert!(matches!(refused, Err(Refused::Invalid { .. })), "{refused:?}");
        }
        let missing = fixture.apply(put(heading(2, HeadingKind::Label, "b"), false));
        assert!(matches!(missing, Err(Refused::NotFound { .. })), "{missing:?}");
    }

    #[test]
    fn labels_are_attached_and_detached_and_go_with_their_api() {
        let mut fixture = Fixture::new();
        fixture.publish(api(7));
        let (old, new) = (heading(1, HeadingKind::Label, "old"), heading(2, HeadingKind::Label, "new"));
        fixture.apply(put(old.clone(), true)).unwrap();
        fixture.apply(put(new.clone(), true)).unwrap();
        let label = |attach: &[HeadingId], detach: &[HeadingId]| LabelApi {
            api: api(7).id,
            attach: attach.to_vec(),
            detach: detach.to_vec(),
        };
        let unknown = fixture.apply(label(&[old.id, HeadingId::from_random([9; 16])], &[]));
        assert!(matches!(unknown, Err(Refused::Invalid { .. })), "{unknown:?}");
        assert!(fixture.state.apimgt.api_labels.is_empty(), "all or nothing");
        fixture.apply(label(&[old.id, new.id], &[])).unwrap();
        assert!(matches!(fixture.apply(delete(&old)), Err(Refused::WrongState { .. })));
        fixture.apply(label(&[], &[old.id])).unwrap();
        fixture.apply(delete(&old)).unwrap();
        fixture.apply(DeleteApi { api: api(7).id }).unwrap();
        assert!(fixture.state.apimgt.api_labels.is_empty());
    }
}
