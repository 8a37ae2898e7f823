//! Talking about one repository over one endpoint: credentials, redirects, refusals.

use crate::{
    Client, Credentials, Error, Kind,
    auth::{self, Challenge, Key},
    endpoint::{self, Endpoint},
    error::Complaint,
    http::{ANSWER, Content, body, go_name, whole},
    net::split_port,
};
use bytes::Bytes;
use dhow_oci::Reference;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use std::time::Duration;

/// Of a token or an error.
const SMALL: usize = 1 << 20;
const REDIRECTS: usize = 8;

/// Why a request brought nothing.
pub(crate) enum Failure {
    /// The registry said no.
    Refused(StatusCode, Complaint),
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Pull,
    Push,
}

pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) endpoint: Endpoint,
    pub(crate) repository: String,
    access: Access,
    credentials: Option<Credentials>,
}

impl Session {
    /// Mirrors never see credentials: those are for the registry.
    pub(crate) fn new(
        client: &Client,
        endpoint: Endpoint,
        image: &Reference,
        credentials: Option<&Credentials>,
        access: Access,
    ) -> Self {
        let given = |c: &&Credentials| {
            !(c.username.is_empty() && c.identity_token.is_empty() && c.registry_token.is_empty())
        };
        let credentials = credentials.filter(given).filter(|_| !endpoint.mirror).cloned();
        Self { client: client.clone(), endpoint, repository: image.path().to_owned(), access, credentials }
    }

    pub(crate) fn for_login(client: &Client, endpoint: Endpoint, credentials: &Credentials) -> Self {
        let credentials = Some(credentials.clone());
        let repository = String::new();
        Self { client: client.clone(), endpoint, repository, access: Access::Pull, credentials }
    }

    /// The sentence for a failure about `image`.
    pub(crate) fn explain(&self, failure: Failure, image: &Reference) -> Error {
        match failure {
            Failure::Refused(status, complaint) => complaint.about(image, status, self.credentials.is_some()),
            Failure::Error(error) => error,
        }
    }

    /// Whether the registry takes the credentials.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        let url = format!("{}/v2/", self.endpoint.base);
        match self.fetch(&url, &[]).await {
            Ok(_) => Ok(()),
            Err(Failure::Error(error)) => Err(error),
            Err(Failure::Refused(status, complaint)) if matches!(status.as_u16(), 401 | 403) => {
                let why =
                    format!("login attempt to {url} failed with status: {status}: {}", complaint.text());
                Err(Error::new(Kind::Unauthorized, why))
            }
            Err(Failure::Refused(status, _)) => {
                Err(Error::unavailable(format!("login attempt to {url} failed with status: {status}")))
            }
        }
    }

    /// `GET /v2/<repository>/<path>`, with these headers.
    pub(crate) async fn get(
        &self,
        path: &str,
        headers: &[(header::HeaderName, HeaderValue)],
    ) -> Result<Response<Incoming>, Failure> {
        self.fetch(&self.url(path), headers).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.endpoint.base, self.repository)
    }

    fn key(&self) -> Key {
        let scope = auth::scope(&self.repository, self.access);
        Key::new(&self.endpoint.host, scope, self.credentials.as_ref())
    }

    fn tokens(&self) -> &auth::Tokens {
        &self.client.inner.tokens
    }

    /// What answered the last challenge.
    fn authorization(&self) -> Option<HeaderValue> {
        match self.credentials.as_ref().filter(|c| !c.registry_token.is_empty()) {
            Some(credentials) => auth::bearer(&credentials.registry_token),
            None => self.tokens().find(&self.key()),
        }
    }

    pub(crate) async fn fetch(
        &self,
        url: &str,
        headers: &[(header::HeaderName, HeaderValue)],
    ) -> Result<Response<Incoming>, Failure> {
        self.challenged(url, |authorization| self.follow(url, headers, authorization)).await
    }

    /// Sends a request that changes something; its content can be sent again after a challenge. Redirects are not followed.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: &str,
        content_type: &str,
        content: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let attempt = |authorization: Option<HeaderValue>| {
            let mut request = Request::builder().method(method.clone()).uri(url);
            if !content_type.is_empty() {
                request = request.header(header::CONTENT_TYPE, content_type);
            }
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            let content = whole(content.clone());
            async move { Ok(self.send(request, content, ANSWER).await?) }
        };
        self.challenged(url, attempt).await
    }

    /// Sends content that comes only once, with what answered the last challenge.
    pub(crate) async fn stream(
        &self,
        method: Method,
        url: &str,
        content: Content,
        patience: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(url)
            .header(header::CONTENT_TYPE, "application/octet-stream");
        if let Some(value) = self.authorization() {
            request = request.header(header::AUTHORIZATION, value);
        }
        let response = self.send(request, content, patience).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(Failure::Refused(status, Complaint::read(status, &body(response, SMALL, url).await?)))
    }

    /// Tries, answers one challenge, tries again. Only success comes back.
    async fn challenged<F: Future<Output = Result<Response<Incoming>, Failure>>>(
        &self,
        url: &str,
        attempt: impl Fn(Option<HeaderValue>) -> F,
    ) -> Result<Response<Incoming>, Failure> {
        let mut authorization = self.authorization();
        let mut answered_challenge = false;
        loop {
            let response = attempt(authorization.take()).await?;
            endpoint::answered(&self.client, &self.endpoint);
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let challenge = Challenge::read(response.headers());
            let complaint = Complaint::read(status, &body(response, SMALL, url).await?);
            if status == StatusCode::UNAUTHORIZED
                && !std::mem::replace(&mut answered_challenge, true)
                && let Some(challenge) = challenge
                && let Some(value) = self.answer(&challenge).await?
            {
                authorization = Some(value);
                continue;
            }
            return Err(Failure::Refused(status, complaint));
        }
    }

    /// Follows redirects, most of which lead to a host for blobs, which must not see our credentials.
    async fn follow(
        &self,
        url: &str,
        headers: &[(header::HeaderName, HeaderValue)],
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Incoming>, Failure> {
        let bad = |url: &str| Error::invalid(format!("registry {}: not a URL: {url}", self.endpoint.host));
        let first: Uri = url.parse().map_err(|_| bad(url))?;
        let mut uri = first.clone();
        for _ in 0..REDIRECTS {
            let mut request = Request::get(&uri);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let ours = (uri.authority(), uri.scheme()) == (first.authority(), first.scheme());
            if let Some(value) = authorization.as_ref().filter(|_| ours) {
                request = request.header(header::AUTHORIZATION, value);
            }
            let response = self.send(request, whole(Bytes::new()), ANSWER).await?;
            let target = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            let (true, Some(target)) = (response.status().is_redirection(), target) else {
                return Ok(response);
            };
            let absolute = match target.strip_prefix('/') {
                Some(path) if !path.starts_with('/') => {
                    format!(
                        "{}://{}{target}",
                        uri.scheme_str().unwrap_or("https"),
                        uri.authority().map_or("", |a| a.as_str())
                    )
                }
                _ => target.to_owned(),
            };
            let next: Uri = absolute.parse().map_err(|_| bad(target))?;
            self.allow(&next).await?;
            uri = next;
        }
        Err(Error::invalid(format!(
            "{} \"{url}\": stopped after {REDIRECTS} redirects",
            go_name(&Method::GET)
        ))
        .into())
    }

    /// Plain HTTP only where the operator, or a plain registry itself, has given up secrecy.
    pub(crate) async fn allow(&self, uri: &Uri) -> Result<(), Error> {
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let insecure = self.endpoint.is_plain() || self.client.inner.insecure.contains(host).await;
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if insecure => Ok(()),
            _ => Err(Error::invalid(format!(
                "registry {}: leads to {uri}, which is not https",
                self.endpoint.host
            ))),
        }
    }

    async fn send(
        &self,
        request: http::request::Builder,
        content: Content,
        patience: Duration,
    ) -> Result<Response<Incoming>, Error> {
        let request = request.header(header::USER_AGENT, concat!("dhow/", env!("CARGO_PKG_VERSION")));
        let request = request.body(content).map_err(|e| Error::internal(format!("make request: {e}")))?;
        let host = request.uri().authority().map_or("", |authority| authority.as_str()).to_owned();
        let verify = if host == self.endpoint.host {
            self.endpoint.verify
        } else {
            !self.client.inner.insecure.contains(&host).await
        };
        self.client.inner.http.send(request, verify, patience).await
    }

    /// The `Authorization` that answers a challenge; `None` when we have nothing to answer with.
    async fn answer(&self, challenge: &Challenge) -> Result<Option<HeaderValue>, Failure> {
        let credentials = self.credentials.as_ref();
        match challenge {
            Challenge::Basic => {
                let value = credentials.filter(|c| !c.username.is_empty()).and_then(auth::basic);
                if let Some(value) = &value {
                    self.tokens().keep(self.key(), value.clone(), Duration::from_secs(3600));
                }
                Ok(value)
            }
            Challenge::Bearer { realm, service, scope } => {
                let scope =
                    if scope.is_empty() { auth::scope(&self.repository, self.access) } else { scope.clone() };
                let (token, life) = self.token(realm, service, &scope).await?;
                let value = auth::bearer(&token);
                let value = value.ok_or_else(|| Error::invalid(format!("{realm}: the token is not one")))?;
                self.tokens().keep(self.key(), value.clone(), life);
                Ok(Some(value))
            }
        }
    }

    async fn token(&self, realm: &str, service: &str, scope: &str) -> Result<(String, Duration), Failure> {
        let uri: Uri =
            realm.parse().map_err(|_| Error::invalid(format!("token server {realm}: not a URL")))?;
        self.allow(&uri).await?;
        let mut query = vec![("service", service)];
        query.extend((!scope.is_empty()).then_some(("scope", scope)));
        let credentials = self.credentials.as_ref();
        let response = match credentials.filter(|c| !c.identity_token.is_empty()) {
            Some(credentials) => {
                query.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "dhow"),
                    ("refresh_token", &credentials.identity_token),
                ]);
                let request =
                    Request::post(&uri).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                self.send(request, whole(form(&query)), ANSWER).await?
            }
            None => {
                let named = credentials.filter(|c| !c.username.is_empty());
                query.extend(named.map(|c| ("account", c.username.as_str())));
                let joint = if uri.query().is_some() { '&' } else { '?' };
                let mut request = Request::get(format!("{realm}{joint}{}", form(&query)));
                if let Some(value) = named.and_then(auth::basic) {
                    request = request.header(header::AUTHORIZATION, value);
                }
                self.send(request, whole(Bytes::new()), ANSWER).await?
            }
        };
        let status = response.status();
        let answer = body(response, SMALL, realm).await?;
        if !status.is_success() {
            return Err(Failure::Refused(status, Complaint::read(status, &answer)));
        }
        let host = split_port(uri.authority().map_or("", |a| a.as_str())).0;
        let token = auth::Token::read(&answer);
        token.ok_or_else(|| Error::invalid(format!("token server {host}: the answer has no token")).into())
    }
}

/// `a=b&c=d`, escaped.
fn form(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        out.push('=');
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    out.push(char::from(byte))
                }
                _ => {
                    let digit =
                        |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0').to_ascii_uppercase();
                    out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
                }
            }
        }
    }
    out
}
