//! Which calls a custom rule counts: an expression in the Common Expression Language (CEL), compiled to tests that
//! neither allocate nor loop.
//!
//! The language's parser is that of the `cel` crate; what can be compiled is the part that needs no loops and no
//! numbers but sizes. Evaluating takes time linear in the expression and the texts it looks at.

use std::borrow::Cow;
use std::io::Write as _;

use http::HeaderName;
use regex::Regex;

use super::call::Call;
use super::expression_compile;

/// Characters of an expression.
pub const EXPRESSION_CHARS_MAX: usize = 2_000;
/// Parts (names, constants, operators) of an expression.
pub const EXPRESSION_PARTS_MAX: usize = 200;

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadExpression {
    /// It is too long.
    #[error("an expression has at most {EXPRESSION_CHARS_MAX} characters and {EXPRESSION_PARTS_MAX} parts")]
    TooLong,
    /// It is not CEL.
    #[error("not an expression: {0}")]
    Syntax(String),
    /// It names something that a call does not have.
    #[error(
        "`{0}` is not known; there are userId, apiContext, apiVersion, resourceKey, appTenant, apiTenant, appId, \
         clientIp, headers, query and claims"
    )]
    UnknownName(String),
    /// It uses a part of the language that is not available here.
    #[error("{0} cannot be used here")]
    NotAvailable(String),
    /// A part of it is of another type than its place asks for.
    #[error("{place} must be {wanted}")]
    Type {
        /// Where.
        place: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A pattern or a name in it cannot be used.
    #[error(transparent)]
    Condition(#[from] super::BadCondition),
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression(Test);

/// Something that is true or not.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Constant(bool),
    Not(Box<Test>),
    All(Box<[Test]>),
    Any(Box<[Test]>),
    If(Box<[Test; 3]>),
    Equal(Text, Text),
    OneOf(Text, Box<[Box<str>]>),
    StartsWith(Text, Text),
    EndsWith(Text, Text),
    Contains(Text, Text),
    Matches(Text, Regex),
    Present(Entry),
    Size(Text, Comparison, u64),
}

/// How a size is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A text.
#[derive(Clone, Debug)]
pub(super) enum Text {
    Constant(Box<str>),
    Variable(Variable),
    Entry(Entry),
    Lower(Box<Text>),
}

/// A header, query parameter or claim. Of several values the first counts.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Header(HeaderName),
    Query(Box<str>),
    Claim(Box<str>),
}

/// A fact about a call that the original's key templates know too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The end user with the tenant.
    UserId,
    /// The API's context with the version.
    ApiContext,
    /// The API's version.
    ApiVersion,
    /// The operation: `{context}/{version}{resource}:{METHOD}`.
    ResourceKey,
    /// The application's tenant.
    AppTenant,
    /// The API's tenant.
    ApiTenant,
    /// The application's id.
    AppId,
    /// The client's address.
    ClientIp,
}

impl Variable {
    /// All of them. `$apiContext` must come before `$api…` that are shorter, were there any: templates take the longest.
    pub const ALL: [(&'static str, Self); 8] = [
        ("userId", Self::UserId),
        ("apiContext", Self::ApiContext),
        ("apiVersion", Self::ApiVersion),
        ("resourceKey", Self::ResourceKey),
        ("appTenant", Self::AppTenant),
        ("apiTenant", Self::ApiTenant),
        ("appId", Self::AppId),
        ("clientIp", Self::ClientIp),
    ];

    /// Returns the variable of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(its, _)| *its == name).map(|(_, variable)| *variable)
    }

    /// Says whether its value differs between calls with one token to one API.
    #[must_use]
    pub fn depends_on_call(self) -> bool {
        matches!(self, Self::ResourceKey | Self::ClientIp)
    }

    /// Shows its value to `reader`.
    pub(super) fn with<R>(self, call: &Call<'_>, reader: impl FnOnce(&str) -> R) -> R {
        match self {
            Self::UserId => reader(call.caller.user_id),
            Self::ApiContext => reader(call.api_context),
            Self::ApiVersion => reader(call.api_version),
            Self::ResourceKey => reader(call.resource_key),
            Self::AppTenant => reader(call.caller.application_tenant),
            Self::ApiTenant => reader(call.api_tenant),
            Self::AppId => reader(call.caller.application_id),
            Self::ClientIp => {
                // The longest address has 45 characters.
                let mut place = [0; 48];
                let mut rest = &mut place[..];
                let written = write!(rest, "{}", call.client.to_canonical()).map(|()| 48 - rest.len());
                let text = std::str::from_utf8(&place[..written.unwrap_or(0)]);
                reader(text.unwrap_or_default())
            }
        }
    }
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Where it is not CEL, or more than can be evaluated here.
    pub fn compile(text: &str) -> Result<Self, BadExpression> {
        expression_compile::compile(text).map(Self)
    }

    /// Says whether it is true of a call.
    #[must_use]
    pub fn is_true_of(&self, call: &Call<'_>) -> bool {
        self.0.holds(call)
    }

    /// Says whether its outcome may differ between calls with one token to one API.
    #[must_use]
    pub fn depends_on_call(&self) -> bool {
        self.0.depends_on_call()
    }
}

impl Test {
    fn holds(&self, call: &Call<'_>) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::Not(test) => !test.holds(call),
            Self::All(tests) => tests.iter().all(|test| test.holds(call)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(call)),
            Self::If(tests) => {
                let [condition, then, otherwise] = tests.as_ref();
                if condition.holds(call) { then.holds(call) } else { otherwise.holds(call) }
            }
            Self::Equal(left, right) => left.both(right, call, |left, right| left == right),
            Self::OneOf(text, list) => text.with(call, |text| list.iter().any(|one| one.as_ref() == text)),
            Self::StartsWith(text, start) => text.both(start, call, |text, start| text.starts_with(start)),
            Self::EndsWith(text, end) => text.both(end, call, |text, end| text.ends_with(end)),
            Self::Contains(text, part) => text.both(part, call, |text, part| text.contains(part)),
            Self::Matches(text, pattern) => text.with(call, |text| pattern.is_match(text)),
            Self::Present(entry) => entry.value(call).is_some(),
            Self::Size(text, comparison, size) => {
                let length = text.with(call, |text| text.chars().count() as u64);
                match comparison {
                    Comparison::Equal => length == *size,
                    Comparison::Less => length < *size,
                    Comparison::LessOrEqual => length <= *size,
                    Comparison::Greater => length > *size,
                    Comparison::GreaterOrEqual => length >= *size,
                }
            }
        }
    }

    fn depends_on_call(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Not(test) => test.depends_on_call(),
            Self::All(tests) | Self::Any(tests) => tests.iter().any(Self::depends_on_call),
            Self::If(tests) => tests.iter().any(Self::depends_on_call),
            Self::Equal(left, right)
            | Self::StartsWith(left, right)
            | Self::EndsWith(left, right)
            | Self::Contains(left, right) => left.depends_on_call() || right.depends_on_call(),
            Self::OneOf(text, _) | Self::Matches(text, _) | Self::Size(text, ..) => text.depends_on_call(),
            Self::Present(entry) => entry.depends_on_call(),
        }
    }
}

impl Text {
    /// Shows the text to `reader`; what a call does not have is empty.
    fn with<R>(&self, call: &Call<'_>, reader: impl FnOnce(&str) -> R) -> R {
        match self {
            Self::Constant(text) => reader(text),
            Self::Variable(variable) => variable.with(call, reader),
            Self::Entry(entry) => reader(entry.value(call).as_deref().unwrap_or_default()),
            Self::Lower(text) => {
                let lower = text.in_lower_case(call);
                reader(&lower)
            }
        }
    }

    /// The only test that allocates: a text in lower case is another text.
    fn in_lower_case(&self, call: &Call<'_>) -> String {
        match self {
            Self::Constant(text) => text.to_ascii_lowercase(),
            Self::Variable(variable) => variable.with(call, str::to_ascii_lowercase),
            Self::Entry(entry) => entry.value(call).unwrap_or_default().to_ascii_lowercase(),
            Self::Lower(text) => text.in_lower_case(call),
        }
    }

    fn both<R>(&self, other: &Self, call: &Call<'_>, reader: impl FnOnce(&str, &str) -> R) -> R {
        self.with(call, |text| other.with(call, |other| reader(text, other)))
    }

    fn depends_on_call(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Variable(variable) => variable.depends_on_call(),
            Self::Entry(entry) => entry.depends_on_call(),
            Self::Lower(text) => text.depends_on_call(),
        }
    }
}

impl Entry {
    fn value<'a>(&'a self, call: &Call<'a>) -> Option<Cow<'a, str>> {
        match self {
            Self::Header(name) => {
                let value = call.headers.get(name)?;
                std::str::from_utf8(value.as_bytes()).ok().map(Cow::Borrowed)
            }
            Self::Query(name) => call.query_values(name).next(),
            Self::Claim(name) => call.claim_values(name).next().map(Cow::Borrowed),
        }
    }

    fn depends_on_call(&self) -> bool {
        !matches!(self, Self::Claim(_))
    }
}
