//! The texts of the built-in profiles. build.rs compiles this file too.

/// Profiles by name, as `--profile` and `include` know them.
pub const PROFILES: [(&str, &str); 3] = [
    ("static", include_str!("../profiles/static.profile")),
    ("interpreter", include_str!("../profiles/interpreter.profile")),
    ("tree", include_str!("../profiles/tree.profile")),
];

/// Allows nothing: only for `include`.
const GROUPS: (&str, &str) = ("groups", include_str!("../profiles/groups.profile"));

/// The built-in profile that `include NAME` finds.
pub fn included(name: &str) -> Option<&'static str> {
    PROFILES.iter().chain([&GROUPS]).find(|(known, _)| *known == name).map(|(_, text)| *text)
}
