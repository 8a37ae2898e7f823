//! `network`.

use super::{confirmed, each, inspect, print, print_line, tell};
use crate::{
    client::{Client, escape, query},
    format::{Listing, Row, row},
    values,
};
use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// `dhow network …`
#[derive(Debug, clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Connect a container to a network
    Connect(Connect),
    /// Create a network
    Create(Box<Create>),
    /// Disconnect a container from a network
    Disconnect(Disconnect),
    /// Display detailed information on one or more networks
    Inspect(Inspect),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Remove all unused networks
    Prune(super::system::PruneFlags),
    /// Remove one or more networks
    #[command(visible_alias = "remove")]
    Rm(Rm),
}

// Arguments of `network connect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Connect {
    /// Add network-scoped alias for the container
    #[arg(long)]
    alias: Vec<String>,
    /// Driver options for the network
    #[arg(long)]
    driver_opt: Vec<String>,
    /// Highest gw-priority provides the default gateway
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    gw_priority: i64,
    /// IPv4 address (e.g., "172.30.100.104")
    #[arg(long)]
    ip: Option<String>,
    /// IPv6 address (e.g., "2001:db8::33")
    #[arg(long)]
    ip6: Option<String>,
    /// Add link to another container
    #[arg(long)]
    link: Vec<String>,
    /// Network
    network: String,
    /// Container
    container: String,
}

// Arguments of `network create`.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Enable manual container attachment
    #[arg(long)]
    attachable: bool,
    /// Auxiliary IPv4 or IPv6 addresses used by Network driver
    #[arg(long)]
    aux_address: Vec<String>,
    /// Driver to manage the Network
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// IPv4 or IPv6 Gateway for the master subnet
    #[arg(long)]
    gateway: Vec<String>,
    /// Restrict external access to the network
    #[arg(long)]
    internal: bool,
    /// Allocate container ip from a sub-range
    #[arg(long)]
    ip_range: Vec<String>,
    /// IP Address Management Driver
    #[arg(long, default_value = "default")]
    ipam_driver: String,
    /// Enable or disable IPv6 address assignment
    #[arg(long)]
    ipv6: bool,
    /// Set metadata on a network
    #[arg(long)]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short, long)]
    opt: Vec<String>,
    /// Subnet in CIDR format that represents a network segment
    #[arg(long)]
    subnet: Vec<String>,
    /// Name
    network: String,
}

// Arguments of `network disconnect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Disconnect {
    /// Force the container to disconnect from a network
    #[arg(short, long)]
    force: bool,
    /// Network
    network: String,
    /// Container
    container: String,
}

// Arguments of `network inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// Format output using a custom template: 'json', 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
    /// Networks
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

// Arguments of `network ls`.
#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Provide filter values (e.g. "driver=bridge")
    #[arg(short, long)]
    filter: Vec<String>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json', 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short, long)]
    quiet: bool,
}

// Arguments of `network rm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Rm {
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
    /// Networks
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

impl Command {
    pub(crate) async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        match self {
            Self::Connect(args) => args.run(client).await,
            Self::Create(args) => args.run(client).await,
            Self::Disconnect(args) => {
                let body = json!({ "Container": args.container, "Force": args.force });
                client.post(&format!("/networks/{}/disconnect", escape(&args.network)), Some(&body)).await?;
                Ok(0)
            }
            Self::Inspect(args) => {
                inspect::print_objects(client, &["network"], &args.networks, args.format.as_deref(), false)
                    .await
            }
            Self::Ls(args) => args.run(client).await,
            Self::Prune(args) => prune(client, args).await,
            Self::Rm(args) => {
                let force = args.force;
                each(&args.networks, |name| async move {
                    match client.delete(&format!("/networks/{}", escape(&name))).await {
                        Err(error)
                            if force
                                && error
                                    .downcast_ref::<crate::client::Refused>()
                                    .is_some_and(|r| r.status == 404) =>
                        {
                            Ok(())
                        }
                        other => other.map(drop),
                    }
                })
                .await
            }
        }
    }
}

impl Connect {
    async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut ipam = Map::new();
        for (key, flag) in [("IPv4Address", &self.ip), ("IPv6Address", &self.ip6)] {
            if let Some(address) = flag {
                ipam.insert(key.to_owned(), json!(address));
            }
        }
        let body = json!({
            "Container": self.container,
            "EndpointConfig": {
                "Aliases": self.alias,
                "Links": self.link,
                "IPAMConfig": if ipam.is_empty() { Value::Null } else { Value::Object(ipam) },
                "DriverOpts": values::options(&self.driver_opt),
                "GwPriority": self.gw_priority,
            },
        });
        client.post(&format!("/networks/{}/connect", escape(&self.network)), Some(&body)).await?;
        Ok(0)
    }
}

impl Create {
    async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let mut pools = Vec::new();
        for (number, subnet) in self.subnet.iter().enumerate() {
            let mut pool = Map::from_iter([("Subnet".to_owned(), json!(subnet))]);
            if let Some(gateway) = self.gateway.get(number) {
                pool.insert("Gateway".to_owned(), json!(gateway));
            }
            if let Some(range) = self.ip_range.get(number) {
                pool.insert("IPRange".to_owned(), json!(range));
            }
            if number == 0 && !self.aux_address.is_empty() {
                pool.insert(
                    "AuxiliaryAddresses".to_owned(),
                    Value::Object(values::options(&self.aux_address)),
                );
            }
            pools.push(Value::Object(pool));
        }
        let body = json!({
            "Name": self.network,
            "CheckDuplicate": true,
            "Driver": self.driver,
            "Internal": self.internal,
            "Attachable": self.attachable,
            "EnableIPv6": self.ipv6,
            "IPAM": { "Driver": self.ipam_driver, "Config": pools, "Options": {} },
            "Options": values::options(&self.opt),
            "Labels": values::options(&self.label),
        });
        let answer = client.post("/networks/create", Some(&body)).await?;
        if let Some(warning) = answer["Warning"].as_str().filter(|text| !text.is_empty()) {
            tell(&format!("WARNING: {warning}"));
        }
        print_line(answer["Id"].as_str().context("the engine's answer has no Id")?)?;
        Ok(0)
    }
}

impl Ls {
    async fn run(&self, client: &Client) -> anyhow::Result<u8> {
        let pairs: Vec<_> =
            values::filters(&self.filter)?.map(|filters| ("filters", filters)).into_iter().collect();
        let list = client.get(&format!("/networks{}", query(&pairs))).await?;
        let mut rows: Vec<Row> = list
            .as_array()
            .into_iter()
            .flatten()
            .map(|network| {
                let text = |key: &str| network[key].as_str().unwrap_or_default().to_owned();
                let id = text("Id");
                row([
                    ("ID", if self.no_trunc { id } else { id.chars().take(12).collect() }),
                    ("Name", text("Name")),
                    ("Driver", text("Driver")),
                    ("Scope", text("Scope")),
                    ("IPv6", (network["EnableIPv6"] == json!(true)).to_string()),
                    ("Internal", (network["Internal"] == json!(true)).to_string()),
                    ("CreatedAt", text("Created")),
                ])
            })
            .collect();
        rows.sort_by(|a, b| a["Name"].as_str().cmp(&b["Name"].as_str()));
        let headers = [
            ("ID", "NETWORK ID"),
            ("Name", "NAME"),
            ("Driver", "DRIVER"),
            ("Scope", "SCOPE"),
            ("IPv6", "IPV6"),
            ("Internal", "INTERNAL"),
            ("CreatedAt", "CREATED AT"),
        ];
        print(&Listing { headers: &headers, columns: &["ID", "Name", "Driver", "Scope"] }.render_quiet(
            self.quiet.then_some("ID"),
            self.format.as_deref(),
            &rows,
        )?)?;
        Ok(0)
    }
}

async fn prune(client: &Client, args: &super::system::PruneFlags) -> anyhow::Result<u8> {
    if !confirmed(args.force, "This will remove all custom networks not used by at least one container.")? {
        return Ok(0);
    }
    let report = client.post(&format!("/networks/prune{}", args.query()?), None).await?;
    let names: Vec<&str> =
        report["NetworksDeleted"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !names.is_empty() {
        print_line(&format!("Deleted Networks:\n{}\n", names.join("\n")))?;
    }
    Ok(0)
}
