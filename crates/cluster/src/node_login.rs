//! The login at the nodes: what proxies and the health service say to a node that has a password, and what its
//! refusal means.
//!
//! One user and password for all nodes. A node without a password says so and serves all the same: that lets a
//! running cluster be given one, first to those who log in, then to the nodes. It is not so for a user: a node that
//! does not know it lets nobody in, so it must be there first. The password is shown nowhere.

use std::fmt;
use std::sync::Arc;

/// A user and password that fit the nodes.
#[derive(Clone)]
pub struct NodeLogin {
    request: Arc<[u8]>,
}

/// A user name was given, but no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user name for the nodes needs their password as well")]
pub struct NodeLoginError;

impl NodeLogin {
    /// Takes user and password over; empty is none. Without a user it is that of Redis' `requirepass`.
    ///
    /// # Errors
    /// [`NodeLoginError`] when there is a user without a password.
    pub fn new(user: Option<&str>, password: Option<&str>) -> Result<Option<Self>, NodeLoginError> {
        let given = |text: Option<&'_ str>| text.is_some_and(|text| !text.is_empty());
        match (given(user), given(password)) {
            (false, false) => Ok(None),
            (true, false) => Err(NodeLoginError),
            (_, true) => {
                let words = ["AUTH"].into_iter().chain(user.filter(|user| !user.is_empty())).chain(password);
                Ok(Some(Self { request: wire(&words.collect::<Vec<_>>()).into() }))
            }
        }
    }

    /// `AUTH` as it stands on the wire.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }
}

impl fmt::Debug for NodeLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn wire(words: &[&str]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", words.len());
    for word in words {
        wire.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    wire.into_bytes()
}

/// Whether a node refused `AUTH` only because it has no password, which is no reason not to use it.
#[must_use]
pub fn has_no_password(error: &str) -> bool {
    // Redis 6 and later; Redis 5 and earlier.
    [
        "ERR AUTH <password> called without any password configured",
        "ERR Client sent AUTH, but no password is set",
    ]
    .iter()
    .any(|known| error.starts_with(known))
}

/// What is wrong with the login, in words, when that is what a node's error is about.
#[must_use]
pub fn login_problem(error: &str) -> Option<String> {
    let code = error.split(' ').next().unwrap_or_default();
    let meaning = match code {
        "NOAUTH" => "the node wants a password (--node-password)",
        "WRONGPASS" => "the node does not take the password (--node-password)",
        // Redis 5 and earlier.
        "ERR" if error.starts_with("ERR invalid password") => {
            "the node does not take the password (--node-password)"
        }
        "NOPERM" => "the node does not allow its user enough (--node-username)",
        _ => return None,
    };
    Some(format!("{meaning}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_names_the_user_when_there_is_one() {
        let request = |user, password| {
            let login = NodeLogin::new(user, password).unwrap().unwrap();
            assert_eq!(format!("{login:?}"), "***");
            String::from_utf8(login.request().to_vec()).unwrap()
        };
        assert_eq!(request(None, Some("s3cret")), "*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n");
        assert_eq!(request(Some(""), Some("s3cret")), request(None, Some("s3cret")));
        assert_eq!(request(Some("é"), Some("p")), "*3\r\n$4\r\nAUTH\r\n$2\r\né\r\n$1\r\np\r\n");
        assert!(NodeLogin::new(None, Some("")).unwrap().is_none());
        assert_eq!(NodeLogin::new(Some("user"), None).unwrap_err(), NodeLoginError);
    }

    #[test]
    fn a_refusal_is_told_from_other_errors() {
        for (error, problem) in [
            ("NOAUTH Authentication required.", "wants a password"),
            ("WRONGPASS invalid username-password pair or user is disabled.", "does not take the password"),
            ("ERR invalid password", "does not take the password"),
            ("NOPERM this user has no permissions to run the 'flushall' command", "does not allow"),
        ] {
            assert!(login_problem(error).is_some_and(|text| text.contains(problem) && text.ends_with(error)));
        }
        assert_eq!(login_problem("LOADING Redis is loading the dataset in memory"), None);
        let without = "ERR AUTH <password> called without any password configured for the default user. Are you \
                       sure your configuration is correct?";
        assert!(has_no_password(without) && !has_no_password("WRONGPASS invalid"));
    }
}
