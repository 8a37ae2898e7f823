//! Every route of the API: method, path, the version that brought it, what becomes of it when the client goes
//! ([`Kind`]), handler. The first line that fits answers.

use crate::{
    absent, archive, build, containers, create, exec, hijack, images, kafka, logs, networks,
    route::{Kind::Change, Kind::Read, Route},
    stats, system, transfer, volumes, websocket,
};
use http::Method;

macro_rules! routes {
    ($($method:ident $pattern:literal $since:literal $kind:ident $handler:path;)*) => {
        &[$(Route {
            method: Method::$method,
            pattern: $pattern,
            since: $since,
            kind: $kind,
            handler: |call| Box::pin($handler(call)),
        }),*]
    };
}

pub(crate) static ROUTES: &[Route] = routes! {
    GET    "/_ping"                        24 Read   system::ping;
    HEAD   "/_ping"                        24 Read   system::ping;
    GET    "/version"                      24 Read   system::version;
    GET    "/info"                         24 Read   system::info;
    GET    "/events"                       24 Read   system::events;
    GET    "/system/df"                    25 Read   system::disk_usage;
    POST   "/auth"                         24 Read   system::auth;

    GET    "/containers/json"              24 Read   containers::list;
    POST   "/containers/create"            24 Change create::create;
    POST   "/containers/prune"             25 Change containers::prune;
    GET    "/containers/{}/json"           24 Read   containers::inspect;
    GET    "/containers/{}/top"            24 Read   containers::top;
    GET    "/containers/{}/logs"           24 Read   logs::logs;
    GET    "/containers/{}/changes"        24 Read   containers::changes;
    GET    "/containers/{}/export"         24 Read   archive::export;
    GET    "/containers/{}/stats"          24 Read   stats::stats;
    HEAD   "/containers/{}/archive"        24 Read   archive::stat;
    GET    "/containers/{}/archive"        24 Read   archive::get;
    PUT    "/containers/{}/archive"        24 Change archive::put;
    POST   "/containers/{}/resize"         24 Change containers::resize;
    POST   "/containers/{}/start"          24 Change containers::start;
    POST   "/containers/{}/stop"           24 Change containers::stop;
    POST   "/containers/{}/restart"        24 Change containers::restart;
    POST   "/containers/{}/kill"           24 Change containers::kill;
    POST   "/containers/{}/update"         24 Change containers::update;
    POST   "/containers/{}/rename"         24 Change containers::rename;
    POST   "/containers/{}/pause"          24 Change containers::pause;
    POST   "/containers/{}/unpause"        24 Change containers::unpause;
    POST   "/containers/{}/attach"         24 Read   hijack::attach;
    GET    "/containers/{}/attach/ws"      24 Read   websocket::attach;
    POST   "/containers/{}/wait"           24 Read   containers::wait;
    DELETE "/containers/{*}"               24 Change containers::remove;
    GET    "/containers/{}/checkpoints"    25 Read   absent::checkpoints;
    POST   "/containers/{}/checkpoints"    25 Read   absent::checkpoints;
    POST   "/containers/{}/exec"           24 Change exec::create;
    POST   "/commit"                       24 Change containers::commit;

    POST   "/exec/{}/start"                24 Read   hijack::exec;
    POST   "/exec/{}/resize"               24 Change exec::resize;
    GET    "/exec/{}/json"                 24 Read   exec::inspect;

    GET    "/images/json"                  24 Read   images::list;
    POST   "/images/create"                24 Read   transfer::create;
    GET    "/images/search"                24 Read   images::search;
    POST   "/images/prune"                 25 Change images::prune;
    POST   "/images/load"                  24 Change transfer::load;
    GET    "/images/get"                   24 Read   transfer::save;
    GET    "/images/{*}/get"               24 Read   transfer::save_one;
    GET    "/images/{*}/history"           24 Read   images::history;
    GET    "/images/{*}/json"              24 Read   images::inspect;
    GET    "/images/{*}/attestations"      55 Read   absent::attestations;
    POST   "/images/{*}/push"              24 Read   transfer::push;
    POST   "/images/{*}/tag"               24 Change images::tag;
    DELETE "/images/{*}"                   24 Change images::remove;
    GET    "/distribution/{*}/json"        30 Read   transfer::distribution;

    GET    "/networks"                     24 Read   networks::list;
    POST   "/networks/create"              24 Change networks::create;
    POST   "/networks/prune"               25 Change networks::prune;
    GET    "/networks/{}"                  24 Read   networks::inspect;
    POST   "/networks/{}/connect"          24 Change networks::connect;
    POST   "/networks/{}/disconnect"       24 Change networks::disconnect;
    DELETE "/networks/{}"                  24 Change networks::remove;

    GET    "/volumes"                      24 Read   volumes::list;
    POST   "/volumes/create"               24 Change volumes::create;
    POST   "/volumes/prune"                25 Change volumes::prune;
    GET    "/volumes/{}"                   24 Read   volumes::inspect;
    PUT    "/volumes/{}"                   42 Read   absent::swarm;
    DELETE "/volumes/{}"                   24 Change volumes::remove;

    POST   "/build"                        24 Read   build::build;
    POST   "/build/prune"                  31 Change build::prune;
    POST   "/build/cancel"                 39 Read   absent::build_cancel;
    POST   "/session"                      31 Read   absent::session;
    POST   "/grpc"                         39 Read   absent::session;

    GET    "/dhow/kafka"                   24 Read   kafka::status;
    POST   "/dhow/kafka/up"                24 Change kafka::up;
    POST   "/dhow/kafka/down"              24 Change kafka::down;

    GET    "/plugins"                      25 Read   absent::no_plugins;
    GET    "/plugins/{}/json"              25 Read   absent::no_such_plugin;
    GET    "/plugins/privileges"           25 Read   absent::plugins;
    POST   "/plugins/{*}"                  25 Read   absent::plugins;
    DELETE "/plugins/{*}"                  25 Read   absent::plugins;
    GET    "/swarm"                        24 Read   absent::swarm;
    GET    "/swarm/unlockkey"              24 Read   absent::swarm;
    POST   "/swarm/leave"                  24 Read   absent::not_in_swarm;
    POST   "/swarm/{}"                     24 Read   absent::swarm_mode;
    GET    "/nodes"                        24 Read   absent::swarm;
    GET    "/nodes/{}"                     24 Read   absent::swarm;
    POST   "/nodes/{}/update"              24 Read   absent::swarm;
    DELETE "/nodes/{}"                     24 Read   absent::swarm;
    GET    "/services"                     24 Read   absent::swarm;
    POST   "/services/create"              24 Read   absent::swarm;
    GET    "/services/{}"                  24 Read   absent::swarm;
    GET    "/services/{}/logs"             25 Read   absent::swarm;
    POST   "/services/{}/update"           24 Read   absent::swarm;
    DELETE "/services/{}"                  24 Read   absent::swarm;
    GET    "/tasks"                        24 Read   absent::swarm;
    GET    "/tasks/{}"                     24 Read   absent::swarm;
    GET    "/tasks/{}/logs"                25 Read   absent::swarm;
    GET    "/secrets"                      25 Read   absent::swarm;
    POST   "/secrets/create"               25 Read   absent::swarm;
    GET    "/secrets/{}"                   25 Read   absent::swarm;
    POST   "/secrets/{}/update"            25 Read   absent::swarm;
    DELETE "/secrets/{}"                   25 Read   absent::swarm;
    GET    "/configs"                      30 Read   absent::swarm;
    POST   "/configs/create"               30 Read   absent::swarm;
    GET    "/configs/{}"                   30 Read   absent::swarm;
    POST   "/configs/{}/update"            30 Read   absent::swarm;
    DELETE "/configs/{}"                   30 Read   absent::swarm;
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::fit;

    fn find(method: &Method, path: &str) -> Option<&'static str> {
        let found = ROUTES.iter().find(|route| route.method == *method && fit(route.pattern, path).is_some());
        found.map(|route| route.pattern)
    }

    #[test]
    fn every_line_is_reachable() {
        for route in ROUTES {
            let path = route.pattern.replace("{*}", "a/b").replace("{}", "x");
            let reached = find(&route.method, &path);
            assert_eq!(reached, Some(route.pattern), "{} {path}", route.method);
        }
    }

    #[test]
    fn names_that_look_like_verbs_are_found() {
        assert_eq!(find(&Method::GET, "/images/json"), Some("/images/json"));
        assert_eq!(find(&Method::GET, "/images/json/json"), Some("/images/{*}/json"));
        assert_eq!(
            find(&Method::GET, "/images/a.b:5000/c/d:1@sha256:00/history"),
            Some("/images/{*}/history")
        );
        assert_eq!(find(&Method::DELETE, "/images/a/b"), Some("/images/{*}"));
        assert_eq!(find(&Method::POST, "/info"), None);
        assert_eq!(find(&Method::GET, "/volumes/create"), Some("/volumes/{}"));
    }
}
