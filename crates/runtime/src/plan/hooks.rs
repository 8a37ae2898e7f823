//! Hooks of the specification that run while a container is made.

use super::{Options, text};
use crate::step::{Hook, Hooks};
use crate::{Error, hooks};
use dhow_oci::runtime as spec;

/// What [`crate::create`] and [`crate::Process::go`] run; none if nothing is asked for.
pub(super) fn compile(spec: &spec::Spec, options: &Options) -> Result<Option<Hooks>, Error> {
    let Some(wanted) = &spec.hooks else { return Ok(None) };
    let stage = |name: &str, list: &[spec::Hook]| -> Result<Vec<Hook>, Error> {
        list.iter().enumerate().map(|(at, one)| hook(&format!("hooks.{name}[{at}]"), one)).collect()
    };
    // Those that run later are checked now, when a mistake can still be refused.
    stage("poststart", &wanted.poststart)?;
    stage("poststop", &wanted.poststop)?;
    let compiled = Hooks {
        state: hooks::tail(spec, &options.id, &options.bundle),
        prestart: stage("prestart", &wanted.prestart)?,
        create_runtime: stage("createRuntime", &wanted.create_runtime)?,
        create_container: stage("createContainer", &wanted.create_container)?,
        start_container: stage("startContainer", &wanted.start_container)?,
    };
    let Hooks { prestart, create_runtime, create_container, start_container, .. } = &compiled;
    let any =
        [prestart, create_runtime, create_container, start_container].iter().any(|list| !list.is_empty());
    Ok(any.then_some(compiled))
}

fn hook(field: &str, hook: &spec::Hook) -> Result<Hook, Error> {
    if !hook.path.starts_with('/') {
        return Err(Error::invalid(field, format_args!("the path {:?} must be absolute", hook.path)));
    }
    let timeout = match hook.timeout {
        None => None,
        Some(seconds) => match u32::try_from(seconds) {
            Ok(seconds @ 1..) => Some(seconds),
            _ => return Err(Error::invalid(field, "the timeout must be more than 0")),
        },
    };
    let strings = |list: &[String]| list.iter().map(|word| text(field, word)).collect::<Result<Vec<_>, _>>();
    let path = text(field, &hook.path)?;
    let args = if hook.args.is_empty() { vec![path.clone()] } else { strings(&hook.args)? };
    Ok(Hook { path, args, env: strings(&hook.env)?, timeout })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut spec::Hooks)) -> Result<Option<Hooks>, Error> {
        let mut wanted = spec::Hooks::default();
        change(&mut wanted);
        let spec = spec::Spec { hooks: Some(wanted), oci_version: "1.3.0".into(), ..Default::default() };
        let options = Options { id: "c\"1".to_owned(), bundle: "/b".to_owned(), ..Options::default() };
        compile(&spec, &options)
    }

    fn one(path: &str, timeout: Option<i32>) -> spec::Hook {
        spec::Hook { path: path.to_owned(), timeout, ..Default::default() }
    }

    #[test]
    fn only_those_of_the_making_are_in_a_plan() {
        assert_eq!(with(|_| ()).unwrap(), None);
        assert_eq!(with(|h| h.poststop = vec![one("/x", None)]).unwrap(), None);
        let hooks = with(|h| h.start_container = vec![one("/x", Some(2))]).unwrap().unwrap();
        assert_eq!(hooks.start_container[0].args, [c"/x".to_owned()]);
        assert_eq!(hooks.start_container[0].timeout, Some(2));
        assert_eq!(hooks.state, r#","ociVersion":"1.3.0","id":"c\"1","bundle":"/b"}"#);
    }

    #[test]
    fn what_cannot_run_is_refused() {
        let sentence = |result: Result<Option<Hooks>, Error>| result.unwrap_err().to_string();
        assert!(sentence(with(|h| h.poststop = vec![one("x", None)])).contains("hooks.poststop[0]"));
        assert!(sentence(with(|h| h.prestart = vec![one("/x", Some(0))])).contains("timeout"));
    }
}
