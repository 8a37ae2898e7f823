//! Files → project.

use dhow_compose::model::{Condition, MountKind};

use crate::folder::{Folder, env};

fn error(text: &str) -> String {
    let folder = Folder::new(&[("compose.yaml", text)]);
    folder.load().expect_err(text).to_string()
}

#[test]
fn errors_name_file_line_column_and_key() {
    for (text, want) in [
        (
            "services:\n  web:\n    image: x\n    ports:\n      - \"80:80:80:x\"\n",
            "compose.yaml:5:9: services.web.ports[0]: invalid port \"80:80:80:x\": the part before the second colon must be an address",
        ),
        (
            "services:\n  web:\n    imagee: x\n",
            "compose.yaml:3:5: services.web: unknown key \"imagee\", did you mean \"image\"?",
        ),
        ("servces: {}\n", "compose.yaml:1:1: unknown key \"servces\", did you mean \"services\"?"),
        (
            "services:\n  web: {}\n",
            "compose.yaml:2:8: services.web: has neither an image nor a build context",
        ),
        (
            "services:\n  web: {image: x, init: 7}\n",
            "compose.yaml:2:25: services.web.init: must be true or false, not \"7\"",
        ),
        (
            "services:\n  web:\n    image: x\n    networks: [back]\n",
            "compose.yaml:3:5: services.web: refers to network \"back\", which is not defined",
        ),
        (
            "services:\n  web: {image: x, volumes: ['data:/d']}\n",
            "compose.yaml:2:8: services.web: refers to volume \"data\", which is not defined",
        ),
        (
            "services:\n  web: {image: x, depends_on: [db]}\n",
            "compose.yaml:2:8: services.web: depends on service \"db\", which is not defined",
        ),
        (
            "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n",
            "services depend on each other in a circle: a -> b -> a",
        ),
        (
            "services:\n  web:\n    image: x\n    mem_limit: lots\n",
            "compose.yaml:4:16: services.web.mem_limit: invalid size \"lots\" (examples: 64m, 1.5gb)",
        ),
        (
            "services:\n  web:\n    image: x\n    stop_grace_period: 10\n",
            "compose.yaml:4:24: services.web.stop_grace_period: invalid duration \"10\" (examples: 10s, 1m30s)",
        ),
        (
            "services:\n  web:\n    image: x\n    provider: {type: y}\n",
            "compose.yaml:4:15: services.web.provider: is not supported",
        ),
        (
            "services:\n  web:\n    build: {context: ., additional_contexts: {a: b}}\n",
            "compose.yaml:3:46: services.web.build.additional_contexts: not supported by this builder",
        ),
        (
            "services:\n  web: {image: x, restart: sometimes}\n",
            "compose.yaml:2:28: services.web.restart: \"sometimes\" is not no, always, unless-stopped, on-failure or on-failure:N",
        ),
        (
            "services:\n  web: {image: x, container_name: w, scale: 2}\n",
            "compose.yaml:2:35: services.web.container_name: a fixed name allows one container, but 2 are wanted",
        ),
        (
            "include:\n  - https://example.org/compose.yaml\nservices: {}\n",
            "compose.yaml:2:5: include[0]: https://example.org/compose.yaml: only local files can be read; fetch it first",
        ),
        (
            "services:\n  web: {image: x, secrets: [s]}\nsecrets: {s: {file: ./nope}}\n",
            "/nope does not exist",
        ),
        ("- a\n", "compose.yaml:1:1: must be a mapping, not a list"),
    ] {
        let got = error(text);
        assert!(
            got == want || (want.starts_with('/') && got.ends_with(want)),
            "{text}\n got {got}\nwant {want}"
        );
    }
}

#[test]
fn the_name_comes_from_option_environment_file_folder_in_this_order() {
    let folder = Folder::new(&[("compose.yaml", "name: file-$X\nservices: {}\n")]);
    let name = |options: &dyn Fn(&mut dhow_compose::load::Options)| {
        folder.load_with(|o| options(o)).unwrap().project.name
    };
    assert_eq!(name(&|o| o.env = env(&[("X", "1")])), "file-1");
    assert_eq!(name(&|o| o.env = env(&[("COMPOSE_PROJECT_NAME", "from-env")])), "from-env");
    assert_eq!(
        name(&|o| (o.name, o.env) = (Some("opt".into()), env(&[("COMPOSE_PROJECT_NAME", "from-env")]))),
        "opt"
    );
    folder.write("compose.yaml", "services: {}\n");
    assert_eq!(name(&|_| {}), "app");
    assert!(
        folder
            .load_with(|o| o.name = Some("Bad Name".into()))
            .unwrap_err()
            .to_string()
            .starts_with("invalid project name")
    );
}

#[test]
fn dotenv_interpolation_and_warnings() {
    let folder = Folder::new(&[
        (
            "compose.yaml",
            "services:\n  web:\n    image: busybox:${TAG}\n    environment:\n      HOST: ${HOSTX}\n      PASS:\n",
        ),
        (".env", "TAG=1.0\nPASS=file\n"),
        ("other.env", "TAG=2.0\n"),
    ]);
    let loaded = folder.load().unwrap();
    assert_eq!(loaded.project.services["web"].image.as_deref(), Some("busybox:1.0"));
    assert_eq!(loaded.project.services["web"].environment["PASS"].as_deref(), Some("file"));
    assert_eq!(loaded.warnings, ["The \"HOSTX\" variable is not set. Defaulting to a blank string."]);
    let shell = folder.load_with(|o| o.env = env(&[("TAG", "9"), ("HOSTX", "h")])).unwrap();
    assert_eq!(shell.project.services["web"].image.as_deref(), Some("busybox:9"));
    assert!(shell.warnings.is_empty());
    let other = folder.load_with(|o| o.env_files = vec!["other.env".into()]).unwrap();
    assert_eq!(other.project.services["web"].image.as_deref(), Some("busybox:2.0"));
}

#[test]
fn the_override_file_is_merged_and_explicit_files_are_not_guessed() {
    let folder = Folder::new(&[
        ("compose.yaml", "services:\n  web: {image: a, ports: ['80:80'], environment: [A=1]}\n"),
        (
            "compose.override.yaml",
            "services:\n  web: {image: b, ports: ['81:81'], environment: {A: 2, B: 3}}\n",
        ),
    ]);
    let web = folder.load().unwrap().project.services["web"].clone();
    assert_eq!((web.image.as_deref(), web.ports.len()), (Some("b"), 2));
    assert_eq!(web.environment["A"].as_deref(), Some("2"));
    let alone =
        folder.load_with(|o| o.files = vec!["compose.yaml".into()]).unwrap().project.services["web"].clone();
    assert_eq!((alone.image.as_deref(), alone.ports.len()), (Some("a"), 1));
}

#[test]
fn extends_across_files_keeps_paths_right() {
    let folder = Folder::new(&[
        (
            "compose.yaml",
            "services:\n  web:\n    extends: {file: lib/base.yaml, service: base}\n    environment: {B: own}\n",
        ),
        (
            "lib/base.yaml",
            "services:\n  base:\n    extends: root\n    environment: {A: base, B: base}\n    volumes: ['./data:/d']\n  root:\n    image: busybox\n    command: a b\n",
        ),
    ]);
    let web = folder.load().unwrap().project.services["web"].clone();
    assert_eq!(web.image.as_deref(), Some("busybox"));
    assert_eq!(web.command, Some(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(web.environment["B"].as_deref(), Some("own"));
    assert_eq!(web.environment["A"].as_deref(), Some("base"));
    assert_eq!(web.volumes[0].source.as_deref(), Some(&*folder.path.join("lib/data").to_string_lossy()));
    folder.write("compose.yaml", "services:\n  a: {extends: b}\n  b: {extends: a}\n");
    assert!(folder.load().unwrap_err().to_string().contains("extends itself in a circle"));
}

#[test]
fn include_brings_a_project_with_its_folder_and_environment() {
    let folder = Folder::new(&[
        ("compose.yaml", "include: [db/compose.yaml]\nservices:\n  web: {image: x, depends_on: [db]}\n"),
        (
            "db/compose.yaml",
            "services:\n  db: {image: 'pg:${V}', volumes: ['./d:/d', 'vol:/v']}\nvolumes: {vol: {}}\n",
        ),
        ("db/.env", "V=16\n"),
    ]);
    let project = folder.load().unwrap().project;
    assert_eq!(project.services["db"].image.as_deref(), Some("pg:16"));
    assert_eq!(
        project.services["db"].volumes[0].source.as_deref(),
        Some(&*folder.path.join("db/d").to_string_lossy())
    );
    assert_eq!(project.volumes["vol"].name, "app_vol");
    folder.write("compose.yaml", "include: [db/compose.yaml]\nservices:\n  db: {image: other}\n");
    let error = folder.load().unwrap_err().to_string();
    assert!(
        error.starts_with(
            "compose.yaml:3:3: services.db: conflicts with the one included from db/compose.yaml:2:3"
        ),
        "{error}"
    );
    folder.write("compose.yaml", "include: [compose.yaml]\n");
    assert!(folder.load().unwrap_err().to_string().contains("includes itself in a circle"));
}

#[test]
fn profiles_choose_services() {
    let folder = Folder::new(&[(
        "compose.yaml",
        "services:\n  web: {image: x}\n  debug: {image: x, profiles: [dev]}\n  tool: {image: x, depends_on: [debug], profiles: [ops]}\n",
    )]);
    let names = |change: &dyn Fn(&mut dhow_compose::load::Options)| {
        folder.load_with(|o| change(o)).map(|l| l.project.services.into_keys().collect::<Vec<_>>())
    };
    assert_eq!(names(&|_| {}).unwrap(), ["web"]);
    assert_eq!(names(&|o| o.profiles = vec!["dev".into()]).unwrap(), ["debug", "web"]);
    assert_eq!(names(&|o| o.services = vec!["debug".into()]).unwrap(), ["debug", "web"]);
    assert_eq!(
        names(&|o| o.env = env(&[("COMPOSE_PROFILES", "dev,ops")])).unwrap(),
        ["debug", "tool", "web"]
    );
    let error = names(&|o| o.profiles = vec!["ops".into()]).unwrap_err().to_string();
    assert!(error.contains("depends on service \"debug\", whose profiles (dev) are not enabled"), "{error}");
}

#[test]
fn long_and_short_forms_mean_the_same() {
    let short = "services:\n  web:\n    image: x\n    ports: ['127.0.0.1:8080:80/udp']\n    volumes: ['./a:/a:ro', 'v:/v', '/anon']\n    depends_on: [db]\n    networks: [n]\n    secrets: [s]\n    devices: ['/dev/null:/dev/x:r']\n    extra_hosts: ['h:1.2.3.4']\n  db: {image: x}\nnetworks: {n: }\nvolumes: {v: }\nsecrets: {s: {file: compose.yaml}}\n";
    let long = "services:\n  db: {image: x}\n  web:\n    extra_hosts: {h: 1.2.3.4}\n    devices: [{source: /dev/null, target: /dev/x, permissions: r}]\n    secrets: [{source: s}]\n    networks: {n: {}}\n    depends_on: {db: {condition: service_started}}\n    volumes:\n      - {type: bind, source: ./a, target: /a, read_only: true, bind: {create_host_path: true}}\n      - {type: volume, source: v, target: /v}\n      - {type: volume, target: /anon}\n    ports: [{target: 80, published: 8080, host_ip: 127.0.0.1, protocol: udp, mode: ingress}]\n    image: x\nnetworks: {n: }\nvolumes: {v: }\nsecrets: {s: {file: compose.yaml}}\n";
    let folder = Folder::new(&[("compose.yaml", short)]);
    let one = folder.load().unwrap().project;
    folder.write("compose.yaml", long);
    let two = folder.load().unwrap().project;
    assert_eq!(one.services["web"], two.services["web"]);
    let hash = |project: &dhow_compose::model::Project| {
        dhow_compose::model::service_hash(project, &project.services["web"]).unwrap()
    };
    assert_eq!(hash(&one), hash(&two));
    assert_eq!(one.services["web"].depends_on["db"].condition, Condition::Started);
    assert_eq!(one.services["web"].volumes[2].kind, MountKind::Volume);
}

#[test]
fn the_hash_moves_with_meaning_only() {
    let load = |body: &str| {
        let folder = Folder::new(&[(
            "compose.yaml",
            &format!("services:\n  a: {body}\n  db: {{image: y}}\nconfigs: {{c: {{content: hi}}}}\n"),
        )]);
        let project = folder.load().unwrap().project;
        dhow_compose::model::service_hash(&project, &project.services["a"]).unwrap()
    };
    let base = load("{image: x, environment: {A: 1, B: 2}, labels: [l=1]}");
    for same in [
        "{labels: {l: '1'}, environment: [B=2, A=1], image: x}",
        "{image: x, environment: {A: 1, B: 2}, labels: [l=1], scale: 3}",
        "{image: x, environment: {A: 1, B: 2}, labels: [l=1], depends_on: [db]}",
        "{image: x, environment: {A: 1, B: 2}, labels: [l=1], pull_policy: always, deploy: {replicas: 2}}",
    ] {
        assert_eq!(load(same), base, "{same}");
    }
    for other in [
        "{image: y, environment: {A: 1, B: 2}, labels: [l=1]}",
        "{image: x, environment: {A: 1, B: 3}, labels: [l=1]}",
        "{image: x, environment: {A: 1, B: 2}, labels: [l=1], command: []}",
        "{image: x, environment: {A: 1, B: 2}, labels: [l=1], configs: [c]}",
        "{image: x, environment: {A: 1, B: 2}, labels: [l=1], deploy: {resources: {limits: {memory: 64m}}}}",
    ] {
        assert_ne!(load(other), base, "{other}");
    }
}

#[test]
fn what_it_shares_it_depends_on() {
    let folder = Folder::new(&[(
        "compose.yaml",
        "services:\n  a: {image: x, network_mode: 'service:b', volumes_from: [c]}\n  b: {image: x}\n  c: {image: x}\n",
    )]);
    let project = folder.load().unwrap().project;
    let depends = &project.services["a"].depends_on;
    assert!(depends["b"].restart && !depends["c"].restart);
    assert_eq!(project.in_order().unwrap(), ["b", "c", "a"]);
}
