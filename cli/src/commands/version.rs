//! `version`: this program's, and the server's where one answers.

use serde_json::Value;

use crate::client::Client;
use crate::output::print;

pub async fn version(client: &Client) -> anyhow::Result<()> {
    let mut text = format!("dugout {}\n", env!("CARGO_PKG_VERSION"));
    match client.get::<Value>(&["version"], &[]).await {
        Ok(info) => {
            text += &format!("server {}\n", info["gitVersion"].as_str().unwrap_or("unknown"));
        }
        Err(error) => text += &format!("server: {error}\n"),
    }
    Ok(print(&text)?)
}
