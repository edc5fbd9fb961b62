//! What attributes a SCIM resource has (RFC 7643): names, types, and what clients may do with them. One table serves
//! validation, filters and the `/Schemas` endpoint, so that they cannot differ.

use serde_json::{Map, Value, json};

/// The core schema of users.
pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The enterprise extension.
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The original's extension for attributes of one's own; it takes any name.
pub(crate) const CUSTOM: &str = "urn:scim:schemas:extension:custom:User";
/// The core schema of groups.
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The original's schema of roles.
pub(crate) const ROLE: &str = "urn:ietf:params:scim:schemas:extension:2.0:Role";

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Boolean,
    DateTime,
    Reference,
    Binary,
    Complex(&'static [Attribute]),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Boolean => "boolean",
            Self::DateTime => "dateTime",
            Self::Reference => "reference",
            Self::Binary => "binary",
            Self::Complex(_) => "complex",
        }
    }
}

/// What clients may do with an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutability {
    ReadWrite,
    ReadOnly,
    WriteOnly,
    Immutable,
}

/// One attribute of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub name: &'static str,
    pub kind: Kind,
    pub is_multi: bool,
    pub is_required: bool,
    pub is_case_exact: bool,
    pub mutability: Mutability,
    pub about: &'static str,
}

const fn text(name: &'static str, about: &'static str) -> Attribute {
    Attribute {
        name,
        kind: Kind::Text,
        is_multi: false,
        is_required: false,
        is_case_exact: false,
        mutability: Mutability::ReadWrite,
        about,
    }
}

const fn of_kind(name: &'static str, kind: Kind, about: &'static str) -> Attribute {
    Attribute { kind, ..text(name, about) }
}

const fn many(name: &'static str, parts: &'static [Attribute], about: &'static str) -> Attribute {
    Attribute { is_multi: true, ..of_kind(name, Kind::Complex(parts), about) }
}

const fn read_only(attribute: Attribute) -> Attribute {
    Attribute { mutability: Mutability::ReadOnly, ..attribute }
}

const fn exact(attribute: Attribute) -> Attribute {
    Attribute { is_case_exact: true, ..attribute }
}

const NAME: &[Attribute] = &[
    text("formatted", "The whole name."),
    text("familyName", "The family name."),
    text("givenName", "The given name."),
    text("middleName", "The middle name."),
    text("honorificPrefix", "What stands before the name."),
    text("honorificSuffix", "What stands after the name."),
];

const PLURAL: &[Attribute] = &[
    text("value", "The value."),
    text("display", "The value for people."),
    text("type", "What it is for, such as work, home, mobile."),
    of_kind("primary", Kind::Boolean, "Whether it is the preferred one; at most one is."),
];

const REFERENCES: &[Attribute] = &[
    of_kind("value", Kind::Reference, "The URI."),
    text("display", "A name for people."),
    text("type", "What it is."),
    of_kind("primary", Kind::Boolean, "Whether it is the preferred one."),
];

const CERTIFICATES: &[Attribute] = &[
    of_kind("value", Kind::Binary, "The certificate, DER in base64."),
    text("display", "A name for people."),
    text("type", "What it is for."),
    of_kind("primary", Kind::Boolean, "Whether it is the preferred one."),
];

const ADDRESSES: &[Attribute] = &[
    text("formatted", "The whole address."),
    text("streetAddress", "Street and number."),
    text("locality", "The city."),
    text("region", "The state or region."),
    text("postalCode", "The postal code."),
    text("country", "The country."),
    text("type", "What it is for."),
    of_kind("primary", Kind::Boolean, "Whether it is the preferred one."),
];

const MEMBERSHIPS: &[Attribute] = &[
    read_only(exact(text("value", "The group's id."))),
    read_only(of_kind("$ref", Kind::Reference, "The group's address.")),
    read_only(text("display", "The group's name.")),
    read_only(text("type", "How the user is a member: direct.")),
];

const META: &[Attribute] = &[
    read_only(exact(text("resourceType", "The type."))),
    read_only(of_kind("created", Kind::DateTime, "When it was made.")),
    read_only(of_kind("lastModified", Kind::DateTime, "When it last changed.")),
    read_only(of_kind("location", Kind::Reference, "Its address.")),
    read_only(exact(text("version", "Its version, the same as its ETag."))),
];

/// Attributes that every resource has and no schema lists.
pub(crate) const COMMON: &[Attribute] = &[
    Attribute { is_multi: true, ..exact(of_kind("schemas", Kind::Reference, "The schemas of the resource.")) },
    read_only(exact(text("id", "The id."))),
    exact(text("externalId", "The id that the client gives it.")),
    read_only(of_kind("meta", Kind::Complex(META), "About the resource.")),
];

/// The attributes of users.
pub(crate) const USER_ATTRIBUTES: &[Attribute] = &[
    Attribute { is_required: true, ..exact(text("userName", "The name to sign in with, unique within the tenant.")) },
    of_kind("name", Kind::Complex(NAME), "The person's name."),
    text("displayName", "The name to show."),
    text("nickName", "What the person is called."),
    of_kind("profileUrl", Kind::Reference, "The address of a page about the person."),
    text("title", "The title, such as Vice President."),
    text("userType", "What the person is to the organisation."),
    text("preferredLanguage", "The preferred language, as in Accept-Language."),
    text("locale", "The locale, such as en-US."),
    text("timezone", "The time zone, such as Europe/Paris."),
    of_kind("active", Kind::Boolean, "Whether the user may sign in."),
    Attribute { mutability: Mutability::WriteOnly, ..exact(text("password", "The password; never returned.")) },
    many("emails", PLURAL, "E-mail addresses."),
    many("phoneNumbers", PLURAL, "Phone numbers; type mobile for the mobile."),
    many("ims", PLURAL, "Instant messaging addresses."),
    many("photos", REFERENCES, "Pictures."),
    many("addresses", ADDRESSES, "Postal addresses."),
    read_only(many("groups", MEMBERSHIPS, "The roles that the user holds, as groups.")),
    many("entitlements", PLURAL, "What the person is entitled to; nothing follows from it here."),
    read_only(many("roles", PLURAL, "The roles that the user holds.")),
    many("x509Certificates", CERTIFICATES, "Certificates."),
];

const MANAGER: &[Attribute] = &[
    exact(text("value", "The manager's id.")),
    of_kind("$ref", Kind::Reference, "The manager's address."),
    read_only(text("displayName", "The manager's name.")),
];

/// The attributes of the enterprise extension.
pub(crate) const ENTERPRISE_ATTRIBUTES: &[Attribute] = &[
    text("employeeNumber", "The number within the organisation."),
    text("costCenter", "The cost centre."),
    text("organization", "The organisation."),
    text("division", "The division."),
    text("department", "The department."),
    of_kind("manager", Kind::Complex(MANAGER), "The manager."),
];

const MEMBERS: &[Attribute] = &[
    Attribute { mutability: Mutability::Immutable, ..exact(text("value", "The user's id.")) },
    Attribute { mutability: Mutability::Immutable, ..of_kind("$ref", Kind::Reference, "The user's address.") },
    Attribute { mutability: Mutability::Immutable, ..text("type", "User.") },
    read_only(text("display", "The user's name.")),
];

/// The attributes of groups.
pub(crate) const GROUP_ATTRIBUTES: &[Attribute] = &[
    Attribute { is_required: true, ..exact(text("displayName", "The role's name, such as Internal/publisher.")) },
    many("members", MEMBERS, "Who holds the role."),
];

const AUDIENCE: &[Attribute] = &[
    read_only(text("value", "Which: tenant.")),
    read_only(text("display", "What it is called.")),
    read_only(text("type", "What it is: organization.")),
];

/// The attributes of roles.
pub(crate) const ROLE_ATTRIBUTES: &[Attribute] = &[
    Attribute { is_required: true, ..exact(text("displayName", "The role's name, such as Internal/publisher.")) },
    many("users", MEMBERS, "Who holds the role."),
    read_only(of_kind("audience", Kind::Complex(AUDIENCE), "Where the role is one: in the tenant.")),
];

/// A type of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Resource {
    User,
    Group,
    Role,
}

impl Resource {
    /// Returns the name in `meta.resourceType`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Role => "Role",
        }
    }

    /// Returns the path below `/scim2`.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
            Self::Role => "/v2/Roles",
        }
    }

    /// Returns the core schema's URN.
    pub(crate) fn schema(self) -> &'static str {
        match self {
            Self::User => USER,
            Self::Group => GROUP,
            Self::Role => ROLE,
        }
    }

    /// Returns the attributes of the core schema.
    pub(crate) fn attributes(self) -> &'static [Attribute] {
        match self {
            Self::User => USER_ATTRIBUTES,
            Self::Group => GROUP_ATTRIBUTES,
            Self::Role => ROLE_ATTRIBUTES,
        }
    }

    /// Returns the name of the attribute that lists the holders of a role.
    pub(crate) fn members(self) -> &'static str {
        if self == Self::Role { "users" } else { "members" }
    }

    /// Returns the extensions' URNs.
    pub(crate) fn extensions(self) -> &'static [&'static str] {
        if self == Self::User { &[ENTERPRISE, CUSTOM] } else { &[] }
    }

    /// Finds an attribute of the core schema, whatever its case.
    pub(crate) fn attribute(self, name: &str) -> Option<&'static Attribute> {
        find(self.attributes(), name).or_else(|| find(COMMON, name))
    }

    /// Finds an extension by its URN, whatever its case.
    pub(crate) fn extension(self, urn: &str) -> Option<&'static str> {
        self.extensions().iter().find(|known| known.eq_ignore_ascii_case(urn)).copied()
    }
}

/// Finds an attribute, whatever the case of its name.
pub(crate) fn find(attributes: &'static [Attribute], name: &str) -> Option<&'static Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

fn described(attribute: &Attribute) -> Value {
    let mutability = match attribute.mutability {
        Mutability::ReadWrite => "readWrite",
        Mutability::ReadOnly => "readOnly",
        Mutability::WriteOnly => "writeOnly",
        Mutability::Immutable => "immutable",
    };
    let returned = if attribute.mutability == Mutability::WriteOnly { "never" } else { "default" };
    let is_name = attribute.is_required && attribute.is_case_exact;
    let mut described = json!({
        "name": attribute.name,
        "type": attribute.kind.name(),
        "multiValued": attribute.is_multi,
        "description": attribute.about,
        "required": attribute.is_required,
        "caseExact": attribute.is_case_exact,
        "mutability": mutability,
        "returned": returned,
        "uniqueness": if is_name { "server" } else { "none" },
    });
    match attribute.kind {
        Kind::Complex(parts) => described["subAttributes"] = parts.iter().map(described_part).collect(),
        Kind::Reference => described["referenceTypes"] = json!(["external", "uri", "User", "Group"]),
        _ => {}
    }
    described
}

fn described_part(part: &Attribute) -> Value {
    described(part)
}

/// Returns the schemas as `/Schemas` lists them.
pub(crate) fn schemas(base: &str) -> Vec<Value> {
    let each: [(&str, &str, &[Attribute], &str); 5] = [
        (USER, "User", USER_ATTRIBUTES, "A user of a tenant."),
        (GROUP, "Group", GROUP_ATTRIBUTES, "A role of a tenant, as a group."),
        (ROLE, "Role", ROLE_ATTRIBUTES, "A role of a tenant."),
        (ENTERPRISE, "EnterpriseUser", ENTERPRISE_ATTRIBUTES, "What an organisation knows of a user."),
        (
            CUSTOM,
            "CustomUser",
            &[],
            "Attributes of one's own: any name, with a text, a number, a truth value, or a list.",
        ),
    ];
    let schema = |(id, name, attributes, about): (&str, &str, &[Attribute], &str)| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id, "name": name, "description": about,
            "attributes": attributes.iter().map(described).collect::<Vec<_>>(),
            "meta": {"resourceType": "Schema", "location": format!("{base}/Schemas/{id}")},
        })
    };
    each.into_iter().map(schema).collect()
}

/// Returns the resource types as `/ResourceTypes` lists them.
pub(crate) fn resource_types(base: &str) -> Vec<Value> {
    let each = [Resource::User, Resource::Group, Resource::Role];
    let described = |resource: Resource| {
        let mut described = Map::new();
        described.insert("schemas".into(), json!(["urn:ietf:params:scim:schemas:core:2.0:ResourceType"]));
        described.insert("id".into(), resource.name().into());
        described.insert("name".into(), resource.name().into());
        described.insert("endpoint".into(), resource.path().into());
        described.insert("description".into(), format!("{}s of a tenant", resource.name()).into());
        described.insert("schema".into(), resource.schema().into());
        let extension = |urn: &&str| json!({"schema": urn, "required": false});
        if !resource.extensions().is_empty() {
            described.insert("schemaExtensions".into(), resource.extensions().iter().map(extension).collect());
        }
        let location = format!("{base}/ResourceTypes/{}", resource.name());
        described.insert("meta".into(), json!({"resourceType": "ResourceType", "location": location}));
        Value::Object(described)
    };
    each.map(described).to_vec()
}
