//! [`Server`]: a Janus of our own, with the configuration that the comparison needs and nothing
//! tuned: video rooms, the HTTP API, ICE-lite on the given address.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::api::Janus;

const START_MAX: Duration = Duration::from_secs(20);
const PLUGIN: &str = "libjanus_videoroom.so";
const TRANSPORT: &str = "libjanus_http.so";

pub(crate) struct Server {
    pub(crate) api: Janus,
    pub(crate) pid: u32,
    child: Child,
    _configuration: TempDir,
}

impl Server {
    pub(crate) async fn start(address: IpAddr, event_loops: u32) -> anyhow::Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let configuration = TempDir::new()?;
        let library = library()?;
        let write =
            |name: &str, text: String| std::fs::write(configuration.path().join(name), text);
        write("janus.jcfg", general(configuration.path(), &library, address, event_loops)?)?;
        write("janus.transport.http.jcfg", http(port))?;
        write("janus.plugin.videoroom.jcfg", "general: {}\n".to_owned())?;

        let child = Command::new("janus")
            .arg(format!("--config={}", configuration.path().join("janus.jcfg").display()))
            .arg(format!("--configs-folder={}", configuration.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting janus: is Debian's package `janus` installed?")?;
        let pid = child.id().context("Janus ended at once")?;
        let api = Janus::new(format!("http://127.0.0.1:{port}/janus"))?;
        let mut server = Self { api, pid, child, _configuration: configuration };
        let up = tokio::time::timeout(START_MAX, server.up()).await;
        up.context("Janus does not answer")??;
        Ok(server)
    }

    async fn up(&mut self) -> anyhow::Result<()> {
        while !self.api.is_up().await {
            if let Some(status) = self.child.try_wait()? {
                bail!("Janus ended while starting: {status}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    pub(crate) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// Where the package keeps plugins: a folder that carries the architecture's name.
fn library() -> anyhow::Result<PathBuf> {
    let architectures = std::fs::read_dir("/usr/lib").context("/usr/lib")?.flatten();
    let mut folders = architectures.map(|entry| entry.path().join("janus"));
    folders.find(|folder| folder.join("plugins").join(PLUGIN).exists()).context("no Janus plugins")
}

fn general(
    configs: &Path,
    library: &Path,
    address: IpAddr,
    event_loops: u32,
) -> anyhow::Result<String> {
    let configs = configs.display();
    let folder = library.display();
    let loops =
        if event_loops > 0 { format!("event_loops = {event_loops}") } else { String::new() };
    let (plugins, transports) = (
        others(&library.join("plugins"), PLUGIN)?,
        others(&library.join("transports"), TRANSPORT)?,
    );
    Ok(format!(
        "general: {{
    configs_folder = \"{configs}\"
    plugins_folder = \"{folder}/plugins\"
    transports_folder = \"{folder}/transports\"
    events_folder = \"{folder}/events\"
    loggers_folder = \"{folder}/loggers\"
    debug_level = 2
    debug_colors = false
    session_timeout = 0
    {loops}
}}
media: {{}}
nat: {{
    ice_lite = true
    ice_enforce_list = \"{address}\"
}}
plugins: {{ disable = \"{plugins}\" }}
transports: {{ disable = \"{transports}\" }}
"
    ))
}

fn http(port: u16) -> String {
    format!(
        "general: {{
    json = \"compact\"
    base_path = \"/janus\"
    http = true
    port = {port}
    ip = \"127.0.0.1\"
    https = false
}}
admin: {{ admin_http = false }}
"
    )
}

/// The libraries of a folder but one, as Janus lists what to leave out.
fn others(folder: &Path, wanted: &str) -> anyhow::Result<String> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| name.ends_with(".so") && name != wanted).collect();
    names.sort();
    Ok(names.join(","))
}
