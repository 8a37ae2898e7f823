//! Challenges (`WWW-Authenticate`), and tokens that answer them, kept until they expire.

use crate::{Credentials, session::Access};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a registry wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password.
    Basic,
    /// A token from `realm`.
    Bearer { realm: String, service: String, scope: String },
}

impl Challenge {
    /// The challenge of an answer; a bearer's is preferred.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let all: Vec<Self> = texts.filter_map(Self::parse).collect();
        let bearer = all.iter().find(|challenge| matches!(challenge, Self::Bearer { .. }));
        bearer.or(all.first()).cloned()
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        let mut take = |name: &str| parameters.remove(name);
        Some(Self::Bearer {
            realm: take("realm")?,
            service: take("service").unwrap_or_default(),
            scope: take("scope").unwrap_or_default(),
        })
    }
}

/// `name="value with \" and ,", other=token`.
fn parameters(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_start_matches([',', ' ', '\t']).trim().to_ascii_lowercase();
        let mut value = String::new();
        if let Some(quoted) = after.strip_prefix('"') {
            let mut escaped = false;
            let mut end = quoted.len();
            for (at, c) in quoted.char_indices() {
                match c {
                    _ if escaped => {
                        value.push(c);
                        escaped = false;
                    }
                    '\\' => escaped = true,
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    c => value.push(c),
                }
            }
            rest = quoted.get(end..).unwrap_or_default();
        } else {
            let (token, remainder) = after.split_once(',').unwrap_or((after, ""));
            value.push_str(token.trim());
            rest = remainder;
        }
        found.insert(name, value);
    }
    found
}

pub(crate) fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    let pair = format!("{}:{}", credentials.username, credentials.password);
    sensitive(&format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A token server's answer.
#[derive(Deserialize)]
pub(crate) struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

impl Token {
    /// The token and how long it may be used: at least the specification's minute, with some time to spare.
    pub(crate) fn read(body: &[u8]) -> Option<(String, Duration)> {
        let Self { token, access_token, expires_in } = serde_json::from_slice(body).ok()?;
        let token = if token.is_empty() { access_token } else { token };
        let life = Duration::from_secs(expires_in.max(60)) - Duration::from_secs(10);
        (!token.is_empty()).then_some((token, life))
    }
}

/// Who asks whom for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) host: String,
    pub(crate) scope: String,
    /// Name and secret; a token for one user is none for another.
    pub(crate) user: (String, String),
}

impl Key {
    pub(crate) fn new(host: &str, scope: String, credentials: Option<&Credentials>) -> Self {
        let secret = |c: &Credentials| format!("{}\n{}", c.password, c.identity_token);
        let user = credentials.map(|c| (c.username.clone(), secret(c))).unwrap_or_default();
        Self { host: host.to_owned(), scope, user }
    }
}

/// What a pull or push needs; nothing for a login.
pub(crate) fn scope(repository: &str, access: Access) -> String {
    match access {
        _ if repository.is_empty() => String::new(),
        Access::Pull => format!("repository:{repository}:pull"),
        Access::Push => format!("repository:{repository}:pull,push"),
    }
}

/// `Authorization` values that were right once.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<Key, (HeaderValue, Instant)>>);

impl Tokens {
    pub(crate) fn find(&self, key: &Key) -> Option<HeaderValue> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(key).filter(|(_, until)| *until > Instant::now()).map(|(value, _)| value.clone())
    }

    pub(crate) fn keep(&self, key: Key, value: HeaderValue, life: Duration) {
        let now = Instant::now();
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (_, until)| *until > now);
        tokens.insert(key, (value, now + life));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let read = |texts: &[&str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap());
            }
            Challenge::read(&headers)
        };
        let bearer = |realm: &str, service: &str, scope: &str| {
            let [realm, service, scope] = [realm, service, scope].map(str::to_owned);
            Some(Challenge::Bearer { realm, service, scope })
        };
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        assert_eq!(
            read(&[hub]),
            bearer("https://auth.docker.io/token", "registry.docker.io", "repository:a/b:pull,push")
        );
        assert_eq!(
            read(&["Basic realm=\"x\"", "bearer service=s , realm=\"q\\\"q\""]),
            bearer("q\"q", "s", "")
        );
        assert_eq!(read(&["Basic realm=\"Registry Realm\""]), Some(Challenge::Basic));
        assert_eq!(read(&["Negotiate", "Bearer service=\"no realm\""]), None);
        assert_eq!(read(&["Bearer realm=\"unclosed"]), bearer("unclosed", "", ""));
    }

    #[test]
    fn tokens_of_both_names_are_taken() {
        assert_eq!(Token::read(br#"{"token":"t"}"#), Some(("t".to_owned(), Duration::from_secs(50))));
        assert_eq!(
            Token::read(br#"{"access_token":"a","expires_in":300}"#),
            Some(("a".to_owned(), Duration::from_secs(290)))
        );
        assert_eq!(Token::read(b"{}"), None);
    }
}
