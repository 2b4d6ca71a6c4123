//! The yardstick of `tests/bench/ratio.sh`: as many creates as asked for, sent by nothing but reqwest, some at once.
//! No journal, no rate, no retry.
//!
//! Usage: `bare_loop BASE_URL CREATES AT_ONCE`; prints the milliseconds that it took.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: bare_loop BASE_URL CREATES AT_ONCE");
    let (base, creates, at_once) = (next()?, next()?.parse()?, next()?.parse()?);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let took = runtime.block_on(create_all(&base, creates, at_once))?;
    writeln!(std::io::stdout(), "{took}")?;
    Ok(())
}

/// Creates so many accounts, each as rosterd would; the milliseconds that it took.
async fn create_all(base: &str, creates: usize, at_once: usize) -> Result<u128, Box<dyn Error>> {
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(at_once).build()?;
    let (url, next) = (format!("{base}/users"), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let (client, url, next) = (client.clone(), url.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= creates {
                    return Ok(());
                }
                create(&client, &url, n).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        let ended: Result<(), String> = ended?;
        ended?;
    }
    Ok(began.elapsed().as_millis())
}

async fn create(client: &reqwest::Client, url: &str, n: usize) -> Result<(), String> {
    let body = serde_json::json!({
        "client_id": format!("E{n}"), "email": format!("p{n}@acme.example"), "first_name": format!("Ann {n}"),
        "last_name": "Bo", "title": "Clerk", "city": "Bern", "account_level": 0,
    });
    let request = client.post(url).bearer_auth("sandbox").header("content-type", "application/json");
    let response = request.body(body.to_string()).send().await.map_err(|e| e.to_string())?;
    let status = response.status();
    let shown = response.bytes().await.map_err(|e| e.to_string())?;
    serde_json::from_slice::<serde_json::Value>(&shown).map_err(|e| e.to_string())?;
    if status.is_success() { Ok(()) } else { Err(format!("HTTP {status}")) }
}
