//! Project and engine → plan, as text.

use std::collections::BTreeSet;

use dhow_compose::{
    labels,
    model::{Project, service_hash},
    observe::{Container, Observed, Shared, State},
    plan::{DownOptions, ImageOptions, Pull, Recreate, UpOptions, down, images, up},
};

use crate::folder::Folder;

fn project(text: &str) -> Project {
    Folder::new(&[("compose.yaml", &format!("name: p\n{text}"))]).load().unwrap().project
}

/// An engine on which everything of the project is as it should be.
fn settled(project: &Project) -> Observed {
    let mut seen = Observed::default();
    for service in project.services.values() {
        seen.images.insert(service.image_name("p"), "sha256:1".into());
        for number in 1..=service.replicas() {
            let hash = service_hash(project, service).unwrap();
            let networks = service.networks.keys().map(|key| {
                (project.networks[key].name.clone(), format!("id-{}", project.networks[key].name))
            });
            seen.containers.push(Container {
                id: format!("{}{number}-0123456789abcdef", service.name),
                name: service.container_name("p", number),
                service: service.name.clone(),
                number,
                state: State::Running,
                labels: labels::container(project, service, number, &hash, "sha256:1"),
                networks: networks.collect(),
                network_mode: service
                    .network_mode
                    .as_ref()
                    .map(|mode| mode.replace("service:", "container:") + "1-0123456789abcdef")
                    .unwrap_or_default(),
                ..Container::default()
            });
        }
    }
    for network in project.networks.values() {
        let labels = labels::shared("p", labels::NETWORK, "x", &network.labels);
        seen.networks.insert(network.name.clone(), Shared { id: format!("id-{}", network.name), labels });
    }
    for volume in project.volumes.values() {
        let labels = labels::shared("p", labels::VOLUME, "x", &volume.labels);
        seen.volumes.insert(volume.name.clone(), Shared { id: volume.name.clone(), labels });
    }
    seen
}

const APP: &str = "services:\n  web: {image: x, depends_on: {db: {condition: service_healthy}, init: {condition: service_completed_successfully}}, volumes: ['data:/d']}\n  db: {image: y}\n  init: {image: x}\nvolumes: {data: }\n";

fn text(project: &Project, seen: &Observed, options: &UpOptions) -> String {
    let plan = up(project, seen, options).unwrap();
    for (i, step) in plan.steps.iter().enumerate() {
        assert!(step.after.iter().all(|before| *before < i), "steps are in order");
    }
    plan.to_string()
}

#[test]
fn the_first_up() {
    let project = project(APP);
    let want = "  1 create network p_default
  2 create volume p_data
  3 create container p-db-1 (after 1)
  4 create container p-init-1 (after 1)
  5 create container p-web-1 (after 1, 2)
  6 start container p-db-1 (after 3)
  7 start container p-init-1 (after 4)
  8 wait for db: service_healthy (after 6)
  9 wait for init: service_completed_successfully (after 7)
 10 start container p-web-1 (after 5, 8, 9)
";
    assert_eq!(text(&project, &Observed::default(), &UpOptions::default()), want);
    let options = UpOptions { services: vec!["web".into()], no_deps: true, ..UpOptions::default() };
    let want = "  1 create network p_default\n  2 create volume p_data\n  3 create container p-web-1 (after 1, 2)\n  4 start container p-web-1 (after 3)\n";
    assert_eq!(text(&project, &Observed::default(), &options), want);
}

#[test]
fn the_second_up_does_nothing() {
    let project = project(APP);
    let seen = settled(&project);
    assert_eq!(text(&project, &seen, &UpOptions::default()), "");
    let plan = images(&project, &seen, &project.services.keys().cloned().collect(), ImageOptions::default())
        .unwrap();
    assert!(plan.is_empty());
}

#[test]
fn a_change_recreates_its_service_only() {
    let before = project(APP);
    let seen = settled(&before);
    let after = project(&APP.replace("db: {image: y}", "db: {image: y, environment: [A=1]}"));
    let want = "  1 create container db1-01234567_p-db-1 as replacement
  2 stop container p-db-1 (after 1)
  3 remove container p-db-1 (after 2)
  4 rename container db1-01234567_p-db-1 to p-db-1 (after 3)
  5 start container p-db-1 (after 4)
";
    assert_eq!(text(&after, &seen, &UpOptions::default()), want);
    assert_eq!(
        text(
            &after,
            &seen,
            &UpOptions {
                recreate: Recreate::Never,
                recreate_dependencies: Recreate::Never,
                ..UpOptions::default()
            }
        ),
        ""
    );
}

#[test]
fn another_image_under_the_same_name_recreates() {
    let project = project("services:\n  a: {image: x}\n  b: {image: y}\n");
    let mut seen = settled(&project);
    seen.images.insert("x".into(), "sha256:2".into());
    assert!(
        text(&project, &seen, &UpOptions::default())
            .starts_with("  1 create container a1-012345678_p-a-1 as replacement\n  2 stop container p-a-1")
    );
}

#[test]
fn restart_true_follows_what_it_depends_on() {
    let app = "services:\n  web: {image: x, depends_on: {db: {condition: service_healthy, restart: true}}}\n  db: {image: y}\n";
    let seen = settled(&project(app));
    let after = project(&app.replace("image: y}", "image: y, environment: [A=1]}"));
    let want = "  1 stop container p-web-1
  2 create container db1-01234567_p-db-1 as replacement
  3 stop container p-db-1 (after 1, 2)
  4 remove container p-db-1 (after 3)
  5 rename container db1-01234567_p-db-1 to p-db-1 (after 4)
  6 start container p-db-1 (after 5)
  7 wait for db: service_healthy (after 6)
  8 start container p-web-1 (after 1, 7)
";
    assert_eq!(text(&after, &seen, &UpOptions::default()), want);
    // The same when only the dependency is named.
    let options = UpOptions { services: vec!["db".into()], ..UpOptions::default() };
    assert_eq!(text(&after, &seen, &options), want);
}

#[test]
fn who_shares_a_network_is_made_anew_with_its_parent() {
    let project = project("services:\n  vpn: {image: x}\n  app: {image: y, network_mode: 'service:vpn'}\n");
    let mut seen = settled(&project);
    assert_eq!(text(&project, &seen, &UpOptions::default()), "");
    let options =
        UpOptions { services: vec!["vpn".into()], recreate: Recreate::Force, ..UpOptions::default() };
    let plan = text(&project, &seen, &options);
    assert!(
        plan.contains("create container app1-0123456_p-app-1 as replacement (after 4)")
            && plan.contains("start container p-app-1"),
        "{plan}"
    );
    // Somebody replaced the parent behind our back.
    seen.containers.iter_mut().find(|c| c.service == "vpn").unwrap().id = "other".into();
    assert!(
        text(&project, &seen, &UpOptions::default())
            .contains("create container app1-0123456_p-app-1 as replacement")
    );
}

#[test]
fn scale_up_and_down() {
    let project = project("services:\n  w: {image: x}\n");
    let seen = settled(&project);
    let scale = |n| UpOptions { scale: [("w".to_owned(), n)].into(), ..UpOptions::default() };
    let want = "  1 create container p-w-2\n  2 create container p-w-3\n  3 start container p-w-2 (after 1)\n  4 start container p-w-3 (after 2)\n";
    assert_eq!(text(&project, &seen, &scale(3)), want);
    assert_eq!(
        text(&project, &seen, &scale(0)),
        "  1 stop container p-w-1\n  2 remove container p-w-1 (after 1)\n"
    );
    let fixed = self::project("services:\n  w: {image: x, container_name: w}\n");
    assert!(
        up(&fixed, &Observed::default(), &scale(2)).unwrap_err().to_string().contains("allows one container")
    );
}

#[test]
fn stopped_containers_are_started_and_dependants_wait() {
    let project = project(APP);
    let mut seen = settled(&project);
    for container in &mut seen.containers {
        container.state = State::Exited;
    }
    let want = "  1 start container p-db-1
  2 start container p-init-1
  3 wait for db: service_healthy (after 1)
  4 wait for init: service_completed_successfully (after 2)
  5 start container p-web-1 (after 3, 4)
";
    assert_eq!(text(&project, &seen, &UpOptions::default()), want);
    assert_eq!(text(&project, &seen, &UpOptions { start: false, ..UpOptions::default() }), "");
}

#[test]
fn orphans_are_named_or_removed() {
    let project = project("services:\n  a: {image: x}\n");
    let mut seen = settled(&project);
    seen.containers.push(Container {
        id: "o".into(),
        name: "p-old-1".into(),
        service: "old".into(),
        number: 1,
        state: State::Running,
        ..Container::default()
    });
    let plan = up(&project, &seen, &UpOptions::default()).unwrap();
    assert!(
        plan.is_empty() && plan.warnings[0].starts_with("found orphan containers (p-old-1)"),
        "{:?}",
        plan.warnings
    );
    let options = UpOptions { remove_orphans: true, ..UpOptions::default() };
    assert_eq!(
        text(&project, &seen, &options),
        "  1 stop container p-old-1\n  2 remove container p-old-1 (after 1)\n"
    );
}

#[test]
fn a_network_made_anew_behind_our_back_recreates() {
    let project = project("services:\n  a: {image: x}\n");
    let mut seen = settled(&project);
    seen.networks.get_mut("p_default").unwrap().id = "new".into();
    assert!(text(&project, &seen, &UpOptions::default()).contains("as replacement"));
}

#[test]
fn what_is_external_must_be_there() {
    let project = project(
        "services:\n  a: {image: x, networks: [n], volumes: ['v:/v']}\nnetworks: {n: {external: true, name: net}}\nvolumes: {v: {external: true, name: vol}}\n",
    );
    let error = up(&project, &Observed::default(), &UpOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "network net declared as external, but could not be found");
    let mut seen = settled(&project);
    assert_eq!(text(&project, &seen, &UpOptions::default()), "");
    seen.volumes.clear();
    let error = up(&project, &seen, &UpOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "volume vol declared as external, but could not be found");
}

#[test]
fn an_interrupted_replacement_is_finished() {
    let project = project("services:\n  a: {image: x}\n");
    let mut seen = settled(&project);
    // The old one is gone, the new one has its temporary name and was never started.
    let left = &mut seen.containers[0];
    left.name = "abc_p-a-1".into();
    left.state = State::Created;
    left.labels.insert(labels::REPLACE.into(), "abc".into());
    let want = "  1 rename container abc_p-a-1 to p-a-1\n  2 start container p-a-1 (after 1)\n";
    assert_eq!(text(&project, &seen, &UpOptions::default()), want);
}

#[test]
fn images_are_pulled_or_built_by_policy() {
    let project = project(
        "services:\n  a: {image: x}\n  b: {build: ., image: y}\n  c: {image: x, pull_policy: always}\n  d: {build: .}\n  e: {image: z, pull_policy: never}\n",
    );
    let all: BTreeSet<String> = project.services.keys().cloned().collect();
    let one = |name: &str| BTreeSet::from([name.to_owned()]);
    let plan = |seen: &Observed, services: BTreeSet<String>, options| {
        images(&project, seen, &services, options).map(|plan| plan.to_string())
    };
    let empty = Observed::default();
    let error = plan(&empty, all.clone(), ImageOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "service e: image z is not there, and pull_policy \"never\" forbids to pull it");
    assert_eq!(plan(&empty, one("a"), ImageOptions::default()).unwrap(), "  1 pull image x\n");
    assert_eq!(plan(&empty, one("b"), ImageOptions::default()).unwrap(), "  1 build image y for b\n");
    assert_eq!(
        plan(&empty, one("b"), ImageOptions { no_build: true, ..ImageOptions::default() }).unwrap(),
        "  1 pull image y\n"
    );
    assert!(plan(&empty, one("d"), ImageOptions { no_build: true, ..ImageOptions::default() }).is_err());
    let seen = settled(&project);
    assert_eq!(plan(&seen, all.clone(), ImageOptions::default()).unwrap(), "  1 pull image x\n");
    assert_eq!(
        plan(&seen, one("d"), ImageOptions { build: true, ..ImageOptions::default() }).unwrap(),
        "  1 build image p-d for d\n"
    );
    assert_eq!(
        plan(&seen, all.clone(), ImageOptions { pull: Pull::Never, ..ImageOptions::default() }).unwrap(),
        ""
    );
}

#[test]
fn down_goes_against_the_dependencies() {
    let project = project(APP);
    let seen = settled(&project);
    let want = "  1 stop container p-web-1
  2 remove container p-web-1 (after 1)
  3 stop container p-db-1 (after 2)
  4 remove container p-db-1 (after 3)
  5 stop container p-init-1 (after 2)
  6 remove container p-init-1 (after 5)
  7 remove network p_default (after 2, 4, 6)
";
    assert_eq!(down("p", Some(&project), &seen, &DownOptions::default()).to_string(), want);
    // Without the file the labels tell the order.
    assert_eq!(down("p", None, &seen, &DownOptions::default()).to_string(), want);
    let with_volumes =
        down("p", Some(&project), &seen, &DownOptions { volumes: true, ..DownOptions::default() })
            .to_string();
    assert!(
        with_volumes.contains("remove container p-web-1 and its anonymous volumes")
            && with_volumes.contains("remove volume p_data"),
        "{with_volumes}"
    );
    let one = down(
        "p",
        Some(&project),
        &seen,
        &DownOptions { services: vec!["db".into()], ..DownOptions::default() },
    )
    .to_string();
    assert_eq!(one, "  1 stop container p-db-1\n  2 remove container p-db-1 (after 1)\n");
}
