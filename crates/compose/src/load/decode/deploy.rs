//! `deploy`, health checks, limits and devices.

use std::collections::BTreeMap;

use super::Context;
use crate::{
    error::Error,
    model::{
        Blkio, BlkioRate, BlkioWeight, Deploy, Device, DeviceRequest, Healthcheck, Limits, Resources,
        RestartRule, Ulimit,
    },
    yaml::{Cursor, Fields, Value},
};

pub(super) fn deploy(cursor: &Cursor<'_>, context: &Context<'_>) -> Result<Deploy, Error> {
    let known = [
        "mode",
        "endpoint_mode",
        "replicas",
        "labels",
        "rollback_config",
        "update_config",
        "resources",
        "restart_policy",
        "placement",
    ];
    let fields = cursor.fields(&known)?;
    for key in ["endpoint_mode", "rollback_config", "update_config", "placement"] {
        if fields.get(key).is_some() {
            context.warn(format!("{}.{key} is heeded by swarm only and ignored here", cursor.path));
        }
    }
    if let Some(mode) = fields.get("mode") {
        mode.word(&["replicated", "global", "replicated-job", "global-job"])?;
        if mode.text()? != "replicated" {
            context.warn(format!("{} is heeded by swarm only and ignored here", mode.path));
        }
    }
    let resources = |cursor: &Cursor<'_>| -> Result<Resources, Error> {
        let fields = cursor.fields(&["limits", "reservations"])?;
        Ok(Resources {
            limits: fields.or_default("limits", limits)?,
            reservations: fields.or_default("reservations", limits)?,
        })
    };
    let restart = |cursor: &Cursor<'_>| -> Result<RestartRule, Error> {
        let fields = cursor.fields(&["condition", "delay", "max_attempts", "window"])?;
        for key in ["delay", "window"] {
            if fields.get(key).is_some() {
                context.warn(format!("{}.{key} is heeded by swarm only and ignored here", cursor.path));
            }
        }
        let condition = fields.read("condition", |c| c.word(&["none", "on-failure", "any"]))?;
        Ok(RestartRule {
            condition: condition.unwrap_or_else(|| "any".into()),
            max_attempts: fields.read("max_attempts", Cursor::integer)?,
        })
    };
    Ok(Deploy {
        replicas: fields.read("replicas", Cursor::integer)?,
        labels: fields.or_default("labels", Cursor::labels)?,
        resources: fields.or_default("resources", resources)?,
        restart_policy: fields.read("restart_policy", restart)?,
    })
}

fn limits(cursor: &Cursor<'_>) -> Result<Limits, Error> {
    let fields = cursor.fields(&["cpus", "memory", "pids", "devices", "generic_resources"])?;
    if let Some(generic) = fields.get("generic_resources") {
        return Err(generic.fail("generic resources exist in swarm only"));
    }
    Ok(Limits {
        cpus: fields.read("cpus", Cursor::number)?,
        memory: fields.read("memory", Cursor::bytes)?,
        pids: fields.read("pids", Cursor::integer)?,
        devices: fields.or_default("devices", device_requests)?,
    })
}

pub(super) fn device_requests(cursor: &Cursor<'_>) -> Result<Vec<DeviceRequest>, Error> {
    cursor.list()?.iter().map(device_request).collect()
}

fn device_request(cursor: &Cursor<'_>) -> Result<DeviceRequest, Error> {
    let fields = cursor.fields(&["capabilities", "driver", "count", "device_ids", "options"])?;
    let count = |cursor: &Cursor<'_>| if cursor.text()? == "all" { Ok(-1) } else { cursor.integer() };
    let (count, device_ids) =
        (fields.read("count", count)?, fields.or_default("device_ids", Cursor::strings)?);
    if count.is_some() && !device_ids.is_empty() {
        return Err(cursor.fail("\"count\" and \"device_ids\" exclude each other"));
    }
    Ok(DeviceRequest {
        capabilities: fields.or_default("capabilities", Cursor::strings)?,
        driver: fields.read("driver", Cursor::string)?,
        count: count.or(device_ids.is_empty().then_some(-1)),
        device_ids,
        options: fields.or_default("options", Cursor::labels)?,
    })
}

pub(super) fn healthcheck(cursor: &Cursor<'_>) -> Result<Healthcheck, Error> {
    let fields = cursor.fields(&[
        "disable",
        "interval",
        "retries",
        "test",
        "timeout",
        "start_period",
        "start_interval",
    ])?;
    let test = |cursor: &Cursor<'_>| -> Result<Vec<String>, Error> {
        if let Value::Scalar { text, .. } = &cursor.node.value {
            return Ok(vec!["CMD-SHELL".into(), text.clone()]);
        }
        let words = cursor.strings()?;
        match words.first().map(String::as_str) {
            Some("NONE") if words.len() == 1 => Ok(words),
            Some("CMD" | "CMD-SHELL") if words.len() > 1 => Ok(words),
            _ => Err(cursor.fail("a list must begin with NONE, or with CMD or CMD-SHELL and a command")),
        }
    };
    Ok(Healthcheck {
        test: fields.read("test", test)?,
        interval: fields.read("interval", Cursor::duration)?,
        timeout: fields.read("timeout", Cursor::duration)?,
        retries: fields.read("retries", Cursor::integer)?,
        start_period: fields.read("start_period", Cursor::duration)?,
        start_interval: fields.read("start_interval", Cursor::duration)?,
        disable: fields.or_default("disable", Cursor::boolean)?,
    })
}

pub(super) fn ulimits(cursor: &Cursor<'_>) -> Result<BTreeMap<String, Ulimit>, Error> {
    let one = |cursor: &Cursor<'_>| -> Result<Ulimit, Error> {
        if cursor.node.as_text().is_some() {
            let value = cursor.integer()?;
            return Ok(Ulimit { soft: value, hard: value });
        }
        let fields = cursor.fields(&["soft", "hard"])?;
        let need = |key: &str| {
            fields.read(key, Cursor::integer)?.ok_or_else(|| cursor.fail(format!("needs \"{key}\"")))
        };
        Ok(Ulimit { soft: need("soft")?, hard: need("hard")? })
    };
    cursor.entries()?.into_iter().map(|(name, cursor)| Ok((name.to_owned(), one(&cursor)?))).collect()
}

pub(super) fn device(cursor: &Cursor<'_>) -> Result<Device, Error> {
    let fields = cursor.fields(&["source", "target", "permissions"])?;
    let source = fields.read("source", Cursor::string)?.ok_or_else(|| cursor.fail("needs \"source\""))?;
    if !source.starts_with('/') {
        return Err(cursor.fail(format!("device \"{source}\" is not a path (CDI names are not supported)")));
    }
    Ok(Device {
        target: fields.read("target", Cursor::string)?.unwrap_or_else(|| source.clone()),
        permissions: fields.read("permissions", Cursor::string)?.unwrap_or_else(|| "rwm".into()),
        source,
    })
}

pub(super) fn blkio(cursor: &Cursor<'_>) -> Result<Blkio, Error> {
    let known = [
        "weight",
        "weight_device",
        "device_read_bps",
        "device_write_bps",
        "device_read_iops",
        "device_write_iops",
    ];
    let fields = cursor.fields(&known)?;
    let rates = |cursor: &Cursor<'_>| -> Result<Vec<BlkioRate>, Error> {
        let rate = |cursor: &Cursor<'_>| {
            let fields = cursor.fields(&["path", "rate"])?;
            let rate = fields.read("rate", Cursor::bytes)?.ok_or_else(|| cursor.fail("needs \"rate\""))?;
            Ok(BlkioRate { path: device_path(cursor, &fields)?, rate })
        };
        cursor.list()?.iter().map(rate).collect()
    };
    let weights = |cursor: &Cursor<'_>| -> Result<Vec<BlkioWeight>, Error> {
        let weight = |cursor: &Cursor<'_>| {
            let fields = cursor.fields(&["path", "weight"])?;
            let weight =
                fields.read("weight", Cursor::integer)?.ok_or_else(|| cursor.fail("needs \"weight\""))?;
            Ok(BlkioWeight { path: device_path(cursor, &fields)?, weight })
        };
        cursor.list()?.iter().map(weight).collect()
    };
    Ok(Blkio {
        weight: fields.read("weight", Cursor::integer)?,
        weight_device: fields.or_default("weight_device", weights)?,
        device_read_bps: fields.or_default("device_read_bps", rates)?,
        device_write_bps: fields.or_default("device_write_bps", rates)?,
        device_read_iops: fields.or_default("device_read_iops", rates)?,
        device_write_iops: fields.or_default("device_write_iops", rates)?,
    })
}

fn device_path(cursor: &Cursor<'_>, fields: &Fields<'_>) -> Result<String, Error> {
    fields.read("path", Cursor::string)?.ok_or_else(|| cursor.fail("needs \"path\""))
}
