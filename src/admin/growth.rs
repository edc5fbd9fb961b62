//! How many APIs, applications, subscriptions and users there were over time: of those that there still are, by when they
//! were made. What was deleted is not kept, so it is not counted.

use actix::{Context, Handler, Message, ResponseFuture};
use portcullis_database::handle::View;
use portcullis_database::{Apimgtdb, Userdb, access};
use portcullis_model::{TenantDomain, Timestamp};

use crate::actor::Admin;

/// Asks for counts at points in time, of which there are few.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Growth")]
pub(crate) struct DescribeGrowth {
    /// Whose; of all tenants where none is named.
    pub(crate) tenant: Option<TenantDomain>,
    /// The ends of the times, the earliest first.
    pub(crate) until: Vec<Timestamp>,
}

/// How many there were at each of the points in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) apis: Vec<u64>,
    pub(crate) applications: Vec<u64>,
    pub(crate) subscriptions: Vec<u64>,
    pub(crate) users: Vec<u64>,
}

impl Handler<DescribeGrowth> for Admin {
    type Result = ResponseFuture<Growth>;

    fn handle(&mut self, message: DescribeGrowth, _context: &mut Context<Self>) -> Self::Result {
        let view = self.handle.view();
        // It looks at every row: not on a thread that serves requests.
        let counting = tokio::task::spawn_blocking(move || count(&view, &message));
        Box::pin(async move { counting.await.unwrap_or_default() })
    }
}

fn count(view: &View<access::Admin>, asked: &DescribeGrowth) -> Growth {
    let is_of = |tenant: &TenantDomain| asked.tenant.as_ref().is_none_or(|wanted| wanted == tenant);
    let management = view.read::<Apimgtdb>();
    let apis = management.apis.values().filter(|one| is_of(&one.tenant)).map(|one| one.created_at);
    let applications = management.applications.values().filter(|one| is_of(&one.tenant)).map(|one| one.created_at);
    let subscriptions = management.subscriptions.values().filter(|one| is_of(&one.tenant)).map(|one| one.created_at);
    let users = view.read::<Userdb>().users.iter();
    let users = users.filter(|((tenant, _), _)| is_of(tenant)).map(|(_, one)| one.created_at);
    Growth {
        apis: sums(apis, &asked.until),
        applications: sums(applications, &asked.until),
        subscriptions: sums(subscriptions, &asked.until),
        users: sums(users, &asked.until),
    }
}

/// Returns how many were made up to each of the times.
fn sums(made: impl Iterator<Item = Timestamp>, until: &[Timestamp]) -> Vec<u64> {
    let mut counts = vec![0; until.len()];
    for at in made {
        let place = until.partition_point(|end| *end < at);
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for count in &mut counts {
        sum += *count;
        *count = sum;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_from_when_it_was_made() {
        let made = [3, 30, 10, 11, 40].map(Timestamp).into_iter();
        assert_eq!(sums(made, &[10, 20, 30].map(Timestamp)), [2, 3, 4]);
        assert_eq!(sums(std::iter::empty(), &[Timestamp(1)]), [0]);
    }
}
