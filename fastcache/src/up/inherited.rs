//! What a child has from the environment of `fastcache up`, as the words in front of a command line that starts
//! it again.
//!
//! Whoever types that line does it in another shell, where none of it need be set, and a health service without
//! its API token would take changes from anybody. What is secret only concerns those who read it, and the others are
//! started without. A secret's value is never shown: the line takes it from the
//! shell, and `${NAME:?}` makes the shell refuse the line where it is not set.

use daemon::{Kind, Program};

use super::child::quoted;

/// What HAProxy's configuration reads, and whether it is secret.
const OF_HAPROXY: [(&str, bool); 2] = [("STATS_USER", false), ("STATS_PASSWORD", true)];

/// The assignments for a child of this program, `None` being HAProxy, ready for a shell. `variable` gives what a
/// child inherits; what a flag of its `args` says anyway is left out.
pub(super) fn assignments(
    program: Option<&Program>,
    args: &[String],
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let is_set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let Some(program) = program else {
        let set = OF_HAPROXY.iter().filter_map(|(name, is_secret)| Some((name, is_secret, is_set(name)?)));
        return set.map(|(name, is_secret, value)| assignment(name, &value, *is_secret)).collect();
    };
    let mut words = Vec::new();
    for setting in program.all_settings().filter(|setting| !args.contains(&format!("--{}", setting.name))) {
        let Some(name) = setting.env else { continue };
        let is_secret = setting.kind == Kind::Secret;
        words.extend(is_set(name).map(|value| assignment(name, &value, is_secret)));
        if is_secret {
            let name = format!("{name}_FILE");
            words.extend(is_set(&name).map(|path| assignment(&name, &absolute(&path), false)));
        }
    }
    words
}

/// The variables of secrets that this program, `None` being HAProxy, has nothing to do with, but one of `all` has:
/// nobody is to read them from its environment.
pub(super) fn secrets_of_others(
    program: Option<&'static Program>,
    all: &[&'static Program],
) -> impl Iterator<Item = &'static str> {
    let everybody = all.iter().copied().map(Some).chain([None]);
    everybody.flat_map(secrets).filter(move |name| secrets(program).all(|own| own != *name))
}

/// The variables of the secrets that this program reads.
pub(super) fn secrets(program: Option<&'static Program>) -> impl Iterator<Item = &'static str> {
    let settings = program.into_iter().flat_map(Program::all_settings);
    let own = settings.filter(|setting| setting.kind == Kind::Secret).filter_map(|setting| setting.env);
    let of_haproxy = OF_HAPROXY.iter().filter(move |(_, is_secret)| *is_secret && program.is_none());
    own.chain(of_haproxy.map(|(name, _)| *name))
}

fn assignment(name: &str, value: &str, is_secret: bool) -> String {
    if is_secret { format!("{name}=\"${{{name}:?}}\"") } else { format!("{name}={}", quoted(value)) }
}

/// The path as it is found from any directory.
fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn in_front(program: Option<&Program>, set: &[(&str, &str)]) -> Vec<String> {
        let args = ["--port", "1", "--lame-duck", "0ms"].map(str::to_owned);
        assignments(program, &args, |name| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn secrets_are_asked_of_the_shell_and_never_shown() {
        let set = [("HEALTH_API_TOKEN", "s3cret"), ("STATS_USER", "ops team"), ("STATS_PASSWORD", "s3cret")];
        let token = "HEALTH_API_TOKEN=\"${HEALTH_API_TOKEN:?}\"";
        assert_eq!(in_front(Some(&health_service::PROGRAM), &set), [token]);
        assert_eq!(in_front(Some(&cache_proxy::PROGRAM), &set), [token]);
        assert_eq!(in_front(Some(&cache_node::PROGRAM), &set), [""; 0]);
        let of_haproxy = ["STATS_USER='ops team'", "STATS_PASSWORD=\"${STATS_PASSWORD:?}\""];
        assert_eq!(in_front(None, &set), of_haproxy);
    }

    #[test]
    fn nobody_has_the_secrets_of_others() {
        let all = [&cache_node::PROGRAM, &cache_proxy::PROGRAM, &health_service::PROGRAM];
        let hidden = |program: Option<&'static Program>| -> BTreeSet<&str> {
            secrets_of_others(program, &all).collect()
        };
        let (clients, token, page) = ("REQUIREPASS", "HEALTH_API_TOKEN", "STATS_PASSWORD");
        assert_eq!(hidden(Some(all[0])), [clients, token, page].into());
        assert_eq!(hidden(Some(all[1])), [page].into());
        assert_eq!(hidden(Some(all[2])), [clients, page].into());
        assert_eq!(hidden(None), [clients, token, "NODE_PASSWORD"].into());
    }

    #[test]
    fn a_file_of_a_secret_and_other_settings_are_said_unless_a_flag_says_them() {
        let set = [
            ("HEALTH_API_TOKEN_FILE", "/run/token"),
            ("HOLD_TIMEOUT", "2s"),
            ("LAME_DUCK", "9s"),
            ("WORKERS", ""),
        ];
        let expected = ["HEALTH_API_TOKEN_FILE=/run/token", "HOLD_TIMEOUT=2s"];
        assert_eq!(in_front(Some(&cache_proxy::PROGRAM), &set), expected);
    }
}
