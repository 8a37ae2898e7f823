//! A connection to one broker: a request out, its answer in.

use anyhow::{Context as _, bail};
use dhow_kafka::{
    Code, Key, Message, Request,
    header::{self, RequestHeader},
    messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse},
};
use std::{collections::HashMap, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long a broker may take to be reached.
const CONNECT: Duration = Duration::from_secs(10);
/// No answer is larger: what says so is no broker.
const LARGEST: usize = 256 << 20;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    address: String,
    correlation: i32,
    /// What the broker serves: from, to.
    versions: HashMap<i16, (i16, i16)>,
}

/// An answer, not yet decoded.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    /// Where the body begins.
    body: usize,
    version: i16,
    what: Key,
}

impl Answer {
    pub(super) fn read<'a, M: Message<'a>>(&'a self) -> anyhow::Result<M> {
        M::decode(&self.bytes[self.body..], self.version)
            .with_context(|| format!("the broker's answer to {:?} cannot be read", self.what))
    }
}

impl Connection {
    pub(super) async fn open(address: &str) -> anyhow::Result<Self> {
        let lost = || format!("cannot reach the Kafka broker {address}");
        let stream = timeout(CONNECT, TcpStream::connect(address)).await.with_context(lost)?;
        let stream = stream.with_context(lost)?;
        stream.set_nodelay(true).with_context(lost)?;
        let mut connection =
            Self { stream, address: address.to_owned(), correlation: 0, versions: HashMap::new() };
        connection.agree().await.with_context(|| format!("{address} does not answer as a Kafka broker"))?;
        Ok(connection)
    }

    /// Asks which versions it serves. A broker that finds ours too new answers in the oldest.
    async fn agree(&mut self) -> anyhow::Result<()> {
        let request = ApiVersionsRequest {
            client_software_name: "dhow".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut answer = timeout(CONNECT, self.exchange(&request, 3)).await??;
        if answer.bytes[answer.body..].starts_with(&Code::UnsupportedVersion.code().to_be_bytes()) {
            answer = timeout(CONNECT, self.exchange(&request, 0)).await??;
        }
        let answer: ApiVersionsResponse = answer.read()?;
        let ranges = answer.api_keys.iter().map(|one| (one.api_key, (one.min_version, one.max_version)));
        self.versions = ranges.collect();
        Ok(())
    }

    /// Asks in the newest version that both sides and the caller know.
    pub(super) async fn ask<'q, Q: Request<'q>>(&mut self, request: &Q, most: i16) -> anyhow::Result<Answer> {
        let (from, to) = self.versions.get(&Q::KEY.code()).copied().unwrap_or((0, -1));
        let version = to.min(most).min(*Q::VERSIONS.end());
        if version < from.max(*Q::VERSIONS.start()) {
            bail!("the broker {} does not serve {:?} in a version of this program", self.address, Q::KEY);
        }
        let exchanged = self.exchange(request, version).await;
        exchanged.with_context(|| format!("asking the Kafka broker {} ({:?})", self.address, Q::KEY))
    }

    async fn exchange<'q, Q: Request<'q>>(&mut self, request: &Q, version: i16) -> anyhow::Result<Answer> {
        self.correlation = self.correlation.wrapping_add(1);
        let head = RequestHeader {
            key: Q::KEY.code(),
            version,
            correlation: self.correlation,
            client: Some("dhow".to_owned()),
        };
        let (mut bytes, _) = request.encode_behind(head.open(), version);
        header::close(&mut bytes, 0);
        self.stream.write_all(&bytes).await?;
        let size = self.stream.read_u32().await? as usize;
        if size > LARGEST {
            bail!("an answer of {size} bytes");
        }
        let mut bytes = vec![0; size];
        self.stream.read_exact(&mut bytes).await?;
        let (correlation, body) = header::read_response(&bytes, Q::KEY, version)?;
        if correlation != self.correlation {
            bail!("an answer to another request");
        }
        let body = bytes.len() - body.len();
        Ok(Answer { bytes, body, version, what: Q::KEY })
    }
}
