//! Service → body of `POST /containers/create`.

use dhow_compose::apply::{Extras, body};
use serde_json::json;

use crate::folder::Folder;

#[test]
fn a_service_becomes_what_docker_compose_sends() {
    let text = "name: p\nservices:\n  web:\n    image: x\n    command: a b\n    entrypoint: []\n    ports: ['127.0.0.1:8080:80', '90-91:90-91/udp']\n    expose: [70]\n    environment: {A: 1, GONE: }\n    volumes: ['data:/d:ro', './src:/src', '/anon', {type: tmpfs, target: /t, tmpfs: {size: 1m}}]\n    networks: {back: {priority: 1, aliases: [w]}, front: }\n    healthcheck: {test: [CMD, t], interval: 1s}\n    deploy: {resources: {limits: {memory: 64m, cpus: '0.5'}}, restart_policy: {condition: on-failure, max_attempts: 3}}\n    stop_grace_period: 1500ms\n    ulimits: {nofile: 9}\n    tmpfs: /run:size=1m\nnetworks: {back: , front: }\nvolumes: {data: }\n";
    let folder = Folder::new(&[("compose.yaml", text)]);
    let project = folder.load().unwrap().project;
    let extras = Extras { image_id: "sha256:1".into(), aliases: true, ..Extras::default() };
    let (body, later) = body(&project, &project.services["web"], 2, &extras).unwrap();
    let value = serde_json::to_value(&body).unwrap();
    let host = &value["HostConfig"];
    for (got, want) in [
        (&value["Cmd"], json!(["a", "b"])),
        (&value["Entrypoint"], json!([""])),
        (&value["Env"], json!(["A=1", "GONE"])),
        (&value["StopTimeout"], json!(2)),
        (&value["Labels"]["com.docker.compose.container-number"], json!("2")),
        (&value["Labels"]["com.docker.compose.image"], json!("sha256:1")),
        (&value["Labels"]["com.docker.compose.depends_on"], json!("")),
        (&value["ExposedPorts"], json!({"70/tcp": {}, "80/tcp": {}, "90/udp": {}, "91/udp": {}})),
        (&value["Healthcheck"], json!({"Test": ["CMD", "t"], "Interval": 1_000_000_000})),
        (&host["PortBindings"]["80/tcp"], json!([{"HostIp": "127.0.0.1", "HostPort": "8080"}])),
        (&host["PortBindings"]["91/udp"], json!([{"HostIp": "", "HostPort": "91"}])),
        (&host["Binds"], json!([format!("{}:/src:rw", folder.path.join("src").display())])),
        (&host["Memory"], json!(67_108_864)),
        (&host["NanoCpus"], json!(500_000_000)),
        (&host["NetworkMode"], json!("p_back")),
        (&host["RestartPolicy"], json!({"Name": "on-failure", "MaximumRetryCount": 3})),
        (&host["Tmpfs"], json!({"/run": "size=1m"})),
        (&host["Ulimits"], json!([{"Name": "nofile", "Soft": 9, "Hard": 9}])),
    ] {
        assert_eq!(got, &want, "{value:#}");
    }
    let mounts: Vec<String> = host["Mounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| format!("{} {} {}", mount["Type"], mount["Source"], mount["Target"]))
        .collect();
    assert_eq!(
        mounts,
        ["\"volume\" null \"/anon\"", "\"volume\" \"p_data\" \"/d\"", "\"tmpfs\" null \"/t\""]
    );
    // An engine before 1.44 gets the second network afterwards.
    assert_eq!(
        value["NetworkingConfig"]["EndpointsConfig"]["p_back"]["Aliases"],
        json!(["p-web-2", "web", "w"])
    );
    assert_eq!(later.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["p_front"]);
}
