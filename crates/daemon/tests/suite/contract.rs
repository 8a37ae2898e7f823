//! Every kind of answer of the API, with real objects behind it, against docker's own OpenAPI file.

use dhow_testkit::{
    Daemon,
    contract::violations,
    http::{Answer, ask, ask_with},
    is_root,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::PathBuf};

/// Asks, and holds each answer against the file.
struct Judge {
    socket: PathBuf,
    found: BTreeSet<String>,
    asked: BTreeSet<String>,
}

impl Judge {
    fn ask(&mut self, method: &str, target: &str, body: Option<&Value>) -> Answer {
        let answer = ask(&self.socket, method, target, body);
        self.hold(method, target, &answer);
        answer
    }

    fn hold(&mut self, method: &str, target: &str, answer: &Answer) {
        let path = target.split('?').next().unwrap_or(target);
        self.found.extend(violations(method, path, answer));
        self.asked.insert(format!("{method} {path} {}", answer.status));
    }

    fn get(&mut self, target: &str) -> Value {
        self.ask("GET", target, None).json()
    }

    fn post(&mut self, target: &str, body: &Value) -> Value {
        self.ask("POST", target, Some(body)).json()
    }

    /// An answer that must have this status.
    #[track_caller]
    fn expect(&mut self, status: u16, method: &str, target: &str, body: Option<&Value>) -> Answer {
        let answer = self.ask(method, target, body);
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
        answer
    }

    #[track_caller]
    fn create(&mut self, name: &str, body: &Value) {
        self.expect(201, "POST", &format!("/containers/create?name={name}"), Some(body));
    }

    #[track_caller]
    fn start(&mut self, name: &str) {
        self.expect(204, "POST", &format!("/containers/{name}/start"), None);
    }
}

fn sleeper() -> Value {
    json!({"Image": "busybox", "Cmd": ["sleep", "1000"], "StopTimeout": 0})
}

#[test]
fn root_every_answer_is_in_the_contract() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let mut judge = Judge { socket: daemon.socket(), found: BTreeSet::new(), asked: BTreeSet::new() };
    images(&mut judge);
    volumes(&mut judge);
    networks(&mut judge);
    containers(&mut judge);
    execs(&mut judge);
    system(&mut judge);
    refusals(&mut judge);
    ends(&mut judge);
    daemon.finish();
    let found: Vec<_> = judge.found.into_iter().collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

fn images(judge: &mut Judge) {
    judge.expect(201, "POST", "/images/busybox/tag?repo=other&tag=1", None);
    judge.get("/images/json?all=1&digests=1&shared-size=1&manifests=1");
    judge.get("/images/busybox/json");
    judge.get("/images/busybox/json?manifests=1");
    judge.get("/images/busybox/history");
    judge.get("/images/nobody/json");
    let built = ask_with(
        &judge.socket,
        "POST",
        "/build?t=built&labels=%7B%22a%22%3A%22b%22%7D",
        "Content-Type: application/x-tar\r\n",
        &context(
            "FROM busybox\nRUN echo hi > /hi\nEXPOSE 80\nVOLUME /data\nHEALTHCHECK --interval=1s CMD true\nUSER 1\nLABEL c=d\n",
        ),
    );
    judge.hold("POST", "/build", &built);
    assert!(built.text().contains("Successfully tagged"), "{}", built.text());
    judge.get("/images/built/json");
    judge.get("/images/built/history");
    judge.get("/images/json");
    judge.expect(200, "DELETE", "/images/other:1", None);
}

/// A build context with nothing but a Dockerfile.
fn context(dockerfile: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(dockerfile.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "Dockerfile", dockerfile.as_bytes()).unwrap();
    builder.into_inner().unwrap()
}

fn volumes(judge: &mut Judge) {
    judge.expect(201, "POST", "/volumes/create", Some(&json!({"Name": "data", "Labels": {"a": "b"}})));
    judge.expect(201, "POST", "/volumes/create", Some(&json!({})));
    let options = json!({"Name": "ram", "DriverOpts": {"type": "tmpfs", "device": "tmpfs"}});
    judge.expect(201, "POST", "/volumes/create", Some(&options));
    judge.get("/volumes");
    judge.get("/volumes?filters=%7B%22name%22%3A%5B%22nobody%22%5D%7D");
    judge.get("/volumes/data");
    judge.get("/volumes/ram");
    judge.get("/volumes/nobody");
}

fn networks(judge: &mut Judge) {
    let ipam = json!({"Config": [{"Subnet": "10.123.0.0/16", "IPRange": "10.123.9.0/24", "Gateway": "10.123.0.1",
        "AuxiliaryAddresses": {"router": "10.123.0.2"}}]});
    let net = json!({"Name": "net", "IPAM": ipam, "Labels": {"a": "b"}, "Attachable": true});
    judge.expect(201, "POST", "/networks/create", Some(&net));
    judge.expect(201, "POST", "/networks/create", Some(&json!({"Name": "plain", "Internal": true})));
    judge.get("/networks");
    for name in ["net", "plain", "bridge", "host", "none", "nobody"] {
        judge.get(&format!("/networks/{name}"));
        judge.get(&format!("/networks/{name}?verbose=1"));
    }
}

fn containers(judge: &mut Judge) {
    judge.create("created", &sleeper());
    let mut full = json!({
        "Image": "busybox", "Cmd": ["sh", "-c", "echo out; echo err >&2; touch /new; sleep 1000"], "StopTimeout": 0,
        "Env": ["A=b"], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}, "81/udp": {}}, "Volumes": {"/anonymous": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 100_000_000, "Retries": 1},
        "HostConfig": {
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Binds": ["data:/data:ro"], "Mounts": [{"Type": "tmpfs", "Target": "/ram"}, {"Type": "volume", "Source": "data", "Target": "/more"}],
            "Memory": 67_108_864, "NanoCpus": 500_000_000, "CapAdd": ["NET_ADMIN"], "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "ExtraHosts": ["a:1.2.3.4"], "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}], "Annotations": {"x": "y"},
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}, "Tmpfs": {"/t": "size=1m"}, "Sysctls": {"net.ipv4.ip_forward": "0"},
            "NetworkMode": "net"
        },
        "NetworkingConfig": {"EndpointsConfig": {"net": {"Aliases": ["alias"], "IPAMConfig": {"IPv4Address": "10.123.9.9"}}}}
    });
    judge.create("full", &full);
    full["HostConfig"]["NetworkMode"] = json!("nonsense:x");
    judge.post("/containers/create?name=broken", &full);
    judge.start("full");
    judge.create("paused", &sleeper());
    judge.start("paused");
    judge.expect(204, "POST", "/containers/paused/pause", None);
    judge.create("exited", &json!({"Image": "busybox", "Cmd": ["sh", "-c", "exit 3"]}));
    judge.start("exited");
    judge.expect(200, "POST", "/containers/exited/wait", None);
    let again =
        json!({"Image": "busybox", "Cmd": ["false"], "HostConfig": {"RestartPolicy": {"Name": "always"}}});
    judge.create("restarting", &again);
    judge.start("restarting");
    judge.create("plain", &sleeper());
    judge.start("plain");
    let connect = json!({"Container": "plain", "EndpointConfig": {"Aliases": ["late"]}});
    judge.expect(200, "POST", "/networks/net/connect", Some(&connect));
    for list in ["/containers/json", "/containers/json?all=1", "/containers/json?all=1&size=1"] {
        judge.get(list);
    }
    for name in ["created", "full", "paused", "exited", "restarting", "plain"] {
        judge.get(&format!("/containers/{name}/json"));
        judge.get(&format!("/containers/{name}/json?size=1"));
        judge.get(&format!("/containers/{name}/changes"));
        judge.get(&format!("/containers/{name}/stats?stream=0&one-shot=1"));
        judge.get(&format!("/containers/{name}/logs?stdout=1&stderr=1"));
        judge.get(&format!("/containers/{name}/top"));
    }
    judge.get("/containers/full/stats?stream=0");
    judge.get("/containers/full/top?ps_args=aux");
    judge.get("/networks/net");
    judge.get("/containers/full/archive?path=/etc/passwd");
    judge.ask("HEAD", "/containers/full/archive?path=/etc/passwd", None);
    judge.get("/containers/full/archive?path=/nowhere");
    judge.get("/containers/full/export");
    let put = ask_with(&judge.socket, "PUT", "/containers/full/archive?path=/tmp", "", &context("x"));
    judge.hold("PUT", "/containers/full/archive", &put);
    judge.expect(
        200,
        "POST",
        "/containers/full/update",
        Some(&json!({"Memory": 134_217_728, "MemorySwap": -1})),
    );
    judge.expect(201, "POST", "/commit?container=full&repo=committed&comment=c&author=a", Some(&json!({})));
    judge.get("/images/committed/json");
    judge.get("/images/committed/history");
    judge.expect(204, "POST", "/containers/created/rename?name=renamed", None);
}

fn execs(judge: &mut Judge) {
    let create = json!({"Cmd": ["sh", "-c", "echo hi; exit 2"], "AttachStdout": true});
    let id = judge.post("/containers/plain/exec", &create)["Id"].as_str().unwrap().to_owned();
    judge.get(&format!("/exec/{id}/json"));
    judge.expect(200, "POST", &format!("/exec/{id}/start"), Some(&json!({"Detach": false})));
    judge.get(&format!("/exec/{id}/json"));
    let create = json!({"Cmd": ["sleep", "1000"], "User": "0", "Tty": true});
    let id = judge.post("/containers/plain/exec", &create)["Id"].as_str().unwrap().to_owned();
    judge.expect(200, "POST", &format!("/exec/{id}/start"), Some(&json!({"Detach": true, "Tty": true})));
    judge.get(&format!("/exec/{id}/json"));
    judge.expect(200, "POST", &format!("/exec/{id}/resize?h=10&w=20"), None);
    judge.get("/containers/plain/json");
    judge.get("/exec/nobody/json");
    judge.post("/containers/paused/exec", &create);
    judge.post("/containers/plain/exec", &json!({}));
}

fn system(judge: &mut Judge) {
    judge.get("/info");
    judge.get("/version");
    judge.get("/_ping");
    judge.ask("HEAD", "/_ping", None);
    judge.get("/system/df");
    judge.get("/system/df?verbose=1");
    judge.get("/system/df?type=volume&verbose=1");
    judge.get("/events?since=1&until=1");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let events = judge.ask("GET", &format!("/events?since=1&until={now}"), None);
    assert!(events.documents().len() > 20, "{}", events.text());
    judge.post("/auth", &json!({"username": "u", "password": "p", "serveraddress": "127.0.0.1:9"}));
    judge.get("/distribution/127.0.0.1:9%2Fx/json");
}

/// What a node alone has not, and what nobody has.
fn refusals(judge: &mut Judge) {
    for path in [
        "/swarm",
        "/nodes",
        "/services",
        "/tasks",
        "/secrets",
        "/configs",
        "/swarm/unlockkey",
        "/nodes/x",
        "/services/x",
    ] {
        let answer = judge.expect(503, "GET", path, None);
        assert!(answer.text().contains("This node is not a swarm manager"), "{path}: {}", answer.text());
    }
    judge.expect(200, "GET", "/plugins", None);
    judge.ask("POST", "/plugins/x/enable", None);
    judge.post("/containers/create", &json!({"Image": "nobody"}));
    judge.post("/containers/create", &json!({"Image": 1}));
    judge.post("/containers/full/start", &json!({}));
    judge.post("/containers/paused/pause", &json!({}));
    judge.post("/containers/plain/unpause", &json!({}));
    judge.post("/containers/plain/kill?signal=NONSENSE", &json!({}));
    judge.post("/containers/plain/resize?h=10&w=10", &json!({}));
    judge.post("/networks/create", &json!({"Name": "net"}));
    judge.ask("DELETE", "/networks/bridge", None);
    judge.ask("DELETE", "/volumes/data", None);
    judge.ask("DELETE", "/images/busybox", None);
    judge.ask("DELETE", "/containers/full", None);
}

fn ends(judge: &mut Judge) {
    judge.expect(204, "POST", "/containers/paused/unpause", None);
    judge.expect(204, "POST", "/containers/paused/restart?t=0", None);
    judge.expect(204, "POST", "/containers/plain/kill", None);
    judge.expect(204, "POST", "/containers/full/stop?t=0", None);
    judge.ask("POST", "/containers/full/stop", None);
    judge.expect(
        200,
        "POST",
        "/networks/net/disconnect",
        Some(&json!({"Container": "plain", "Force": true})),
    );
    judge.get("/containers/json?all=1");
    judge.expect(204, "DELETE", "/containers/full?v=1&force=1", None);
    judge.expect(200, "POST", "/containers/prune", None);
    judge.expect(200, "POST", "/images/prune", None);
    judge.expect(200, "POST", "/volumes/prune?filters=%7B%22all%22%3A%5B%22true%22%5D%7D", None);
    judge.expect(200, "POST", "/networks/prune", None);
    judge.expect(200, "POST", "/build/prune?all=1", None);
    for prune in ["containers", "images", "volumes", "networks"] {
        judge.expect(200, "POST", &format!("/{prune}/prune"), None);
    }
    judge.get("/containers/json?filters=%7B%22name%22%3A%5B%22nobody%22%5D%7D");
}
