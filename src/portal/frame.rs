//! What is around every page: the portals, the parts of one, the way back, and who looks at it.

use crate::theme;
use crate::viewer::Viewer;

/// The portal that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// None: the front page.
    Front,
    /// The Publisher.
    Publisher,
    /// The developer portal.
    Store,
    /// Admin.
    Admin,
    /// The authorization server.
    Oauth,
}

/// A path and what the link to it is called.
type Link = (&'static str, &'static str);

impl Shell {
    /// Returns the portal's path.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Front => "/",
            Self::Publisher => "/publisher",
            Self::Store => "/devportal",
            Self::Admin => "/admin",
            Self::Oauth => "/oauth2",
        }
    }

    /// Returns the portal's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Front | Self::Oauth => "Portcullis",
            Self::Publisher => "Publisher",
            Self::Store => "Developer portal",
            Self::Admin => "Admin",
        }
    }

    /// Returns the portal of a path.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let is_below = |shell: &&Self| {
            let rest = path.strip_prefix(shell.path());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        [Self::Publisher, Self::Store, Self::Admin].iter().find(is_below).copied().unwrap_or(Self::Front)
    }

    /// Returns the parts of the portal: path and name.
    fn parts(self) -> &'static [Link] {
        match self {
            Self::Front | Self::Oauth => &[],
            Self::Publisher => &[
                ("/publisher", "APIs"),
                ("/publisher/create", "Create"),
                ("/publisher/subscriptions", "Subscriptions"),
            ],
            Self::Store => &[("/devportal", "APIs"), ("/devportal/applications", "Applications")],
            Self::Admin => &[
                ("/admin", "Cluster"),
                ("/admin/policies", "Policies"),
                ("/admin/deny", "Deny list"),
                ("/admin/tasks", "Tasks"),
                ("/admin/statistics", "Statistics"),
                ("/admin/users", "Users"),
                ("/admin/tenants", "Tenants"),
                ("/admin/key-managers", "Key managers"),
                ("/admin/audit", "Audit"),
                ("/admin/settings", "Settings"),
            ],
        }
    }
}

/// A step on the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crumb {
    /// Where it leads to.
    pub path: String,
    /// What it is called.
    pub name: String,
}

/// A page beside this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    /// Where it is.
    pub path: String,
    /// What it is called.
    pub name: &'static str,
    /// Whether it is this one.
    pub is_current: bool,
}

/// The pages of an API in the Publisher: the end of the path, and the name.
const TABS_OF_API: [Link; 10] = [
    ("", "Overview"),
    ("/design", "Design"),
    ("/policies", "Policies"),
    ("/documents", "Documents"),
    ("/revisions", "Revisions"),
    ("/try", "Try it"),
    ("/lifecycle", "Lifecycle"),
    ("/subscriptions", "Subscriptions"),
    ("/statistics", "Statistics"),
    ("/comments", "Comments"),
];

/// What the frame around a page needs to know.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The page's title.
    pub title: String,
    /// The portal it belongs to.
    pub shell: Shell,
    /// The path of the part of the portal that it belongs to.
    pub part: &'static str,
    /// Who looks at it.
    pub viewer: Viewer,
    /// The way back.
    pub crumbs: Vec<Crumb>,
    /// The pages beside it.
    pub tabs: Vec<Tab>,
}

impl Frame {
    /// Makes the frame of a page in the part of a portal that is at `part`.
    pub fn new(viewer: Viewer, shell: Shell, part: &'static str, title: impl Into<String>) -> Self {
        Self { title: title.into(), shell, part, viewer, crumbs: Vec::new(), tabs: Vec::new() }
    }

    /// Makes the frame of a page of an API in the Publisher: the one at the end `tab` of the API's path.
    pub fn of_api(viewer: Viewer, api: &str, title: impl Into<String>, tab: &str) -> Self {
        let at = |tab: &str| format!("/publisher/apis/{api}{tab}");
        let tabs = TABS_OF_API.iter().map(|(end, name)| Tab { path: at(end), name, is_current: *end == tab });
        Self::new(viewer, Shell::Publisher, "/publisher", title).below("/publisher", "APIs").beside(tabs.collect())
    }

    /// Adds a step to the way back.
    #[must_use]
    pub fn below(mut self, path: impl Into<String>, name: impl Into<String>) -> Self {
        self.crumbs.push(Crumb { path: path.into(), name: name.into() });
        self
    }

    /// Says which pages are beside it.
    #[must_use]
    pub fn beside(mut self, tabs: Vec<Tab>) -> Self {
        self.tabs = tabs;
        self
    }

    /// Returns where the theme is.
    #[must_use]
    pub fn theme(&self) -> &'static str {
        theme::path()
    }

    /// Returns where the script is.
    #[must_use]
    pub fn script(&self) -> &'static str {
        theme::script_path()
    }

    /// Returns the portals: path, name, and whether the page is in it.
    #[must_use]
    pub fn portals(&self) -> [(&'static str, &'static str, bool); 3] {
        [Shell::Publisher, Shell::Store, Shell::Admin].map(|shell| (shell.path(), shell.name(), shell == self.shell))
    }

    /// Returns the parts of the portal: path, name, and whether the page is in it.
    #[must_use]
    pub fn parts(&self) -> Vec<(&'static str, &'static str, bool)> {
        self.shell.parts().iter().map(|(path, name)| (*path, *name, *path == self.part)).collect()
    }

    /// Returns the title of the window.
    #[must_use]
    pub fn window_title(&self) -> String {
        match self.shell {
            Shell::Front => "Portcullis".to_owned(),
            shell if self.title == shell.name() => format!("{} – Portcullis", self.title),
            Shell::Oauth => format!("{} – Portcullis", self.title),
            shell => format!("{} – {} – Portcullis", self.title, shell.name()),
        }
    }
}
